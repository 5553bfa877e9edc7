package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"moonbridge/handler/shm"

	"golang.org/x/sys/unix"
)

// A server that has given up root cannot open its logs again after a rotation if they are in a directory of root, nor remove
// its pid file there. A second process does that for it: the same program, started before, which stays root. It knows the
// paths of these files from the command line and does nothing else. It ends when no process of the server is left.

// rootFilesEnv makes a process the root helper: "fd uid gid,group,…". Its arguments are the files, as "log=/path".
const rootFilesEnv = "MOONBRIDGE_ROOT_FILES"

// rootFilesTimeout is how long the server waits for an answer.
const rootFilesTimeout = 5 * time.Second

// rootFilesTitle is what a list of processes shows.
const rootFilesTitle = "moonbridge: root helper"

// The files of the root helper. A request is one byte, the first of the name.
const (
	rootLog    = "log"
	rootAccess = "access"
	rootPid    = "pid"
)

// rootFiles is the connection to the root helper. A nil rootFiles has none.
type rootFiles struct{ conn *os.File }

// startRootFiles starts the root helper for files that are named in the options.
func startRootFiles(user *syscall.Credential, files map[string]string) (*rootFiles, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd := exec.Command(program)
	cmd.Args = []string{rootFilesTitle}
	for name, path := range files {
		cmd.Args = append(cmd.Args, name+"="+path)
	}
	groups := strconv.Itoa(int(user.Gid))
	for _, g := range user.Groups {
		groups += "," + strconv.Itoa(int(g))
	}
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=3 %d %s", rootFilesEnv, user.Uid, groups))
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		ours.Close()
		return nil, fmt.Errorf("root helper: %w", err)
	}
	go cmd.Wait()
	return &rootFiles{ours}, nil
}

// socketPair returns two connected sockets.
func socketPair() (a, b *os.File, err error) {
	fdA, fdB, err := shm.SocketPair()
	if err != nil {
		return nil, nil, err
	}
	limit := unix.NsecToTimeval(int64(rootFilesTimeout))
	for _, fd := range []int{fdA, fdB} {
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit)
	}
	return os.NewFile(uintptr(fdA), "root helper"), os.NewFile(uintptr(fdB), "root helper"), nil
}

var errNoRootFiles = errors.New("there is no root helper")

// ask sends a request. The helper answers on a connection of its own for each, since the server that takes over asks it too.
// f is the file that it has opened. A request to remove one passes own, which is that file; f is nil then.
func (r *rootFiles) ask(name string, own *os.File) (f *os.File, err error) {
	if r == nil {
		return nil, errNoRootFiles
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer ours.Close()
	pass := []int{int(theirs.Fd())}
	if own != nil {
		pass = append(pass, int(own.Fd()))
	}
	err = unix.Sendmsg(int(r.conn.Fd()), []byte(name[:1]), unix.UnixRights(pass...), nil, 0)
	theirs.Close()
	if err != nil {
		return nil, fmt.Errorf("root helper: %w", err)
	}
	limit := unix.NsecToTimeval(int64(rootFilesTimeout))
	unix.SetsockoptTimeval(int(ours.Fd()), unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit)
	answer, fds, err := receive(int(ours.Fd()), 1024)
	switch {
	case err != nil:
		return nil, fmt.Errorf("root helper: %w", err)
	case len(answer) > 1:
		return nil, errors.New(string(answer[1:]))
	case len(fds) == 1:
		return os.NewFile(uintptr(fds[0]), name), nil
	}
	closeDescriptors(fds)
	return nil, nil
}

// receive receives bytes and descriptors. At the end of the connection the error is io.EOF.
func receive(fd, size int) (b []byte, fds []int, err error) {
	b, oob := make([]byte, size), make([]byte, unix.CmsgSpace(4*4))
	n, oobn, _, _, err := unix.Recvmsg(fd, b, oob, unix.MSG_CMSG_CLOEXEC)
	for err == unix.EINTR {
		n, oobn, _, _, err = unix.Recvmsg(fd, b, oob, unix.MSG_CMSG_CLOEXEC)
	}
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err != nil {
		return nil, nil, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	for _, m := range messages {
		if more, err := unix.ParseUnixRights(&m); err == nil {
			fds = append(fds, more...)
		}
	}
	return b[:n], fds, err
}

func closeDescriptors(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// isRootFiles reports whether this process is to be the root helper.
func isRootFiles() bool { return os.Getenv(rootFilesEnv) != "" }

// runRootFiles is the root helper. It returns the exit code.
func runRootFiles(args []string) int {
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGPIPE)
	fd, user, err := parseRootFiles(os.Getenv(rootFilesEnv))
	if err != nil {
		return exitUsage
	}
	unix.CloseOnExec(fd)
	files := make(map[byte]string)
	for _, arg := range args {
		name, path, _ := strings.Cut(arg, "=")
		if name == "" || !filepath.IsAbs(path) {
			return exitUsage
		}
		files[name[0]] = path
	}
	for {
		what, passed, err := receive(fd, 1)
		if err != nil {
			return exitOK // no process of the server is left
		}
		if len(passed) > 0 {
			answerRequest(passed[0], what[0], passed[1:], files, user)
		}
		closeDescriptors(passed)
	}
}

func parseRootFiles(text string) (fd int, user *syscall.Credential, err error) {
	var groups string
	user = &syscall.Credential{}
	if _, err = fmt.Sscan(text, &fd, &user.Uid, &groups); err != nil {
		return 0, nil, err
	}
	for text := range strings.SplitSeq(groups, ",") {
		n, err := id(text)
		if err != nil {
			return 0, nil, err
		}
		user.Groups = append(user.Groups, n)
	}
	user.Gid, user.Groups = user.Groups[0], user.Groups[1:]
	return fd, user, nil
}

// answerRequest does what a request asks for. own is the file to be removed, open.
func answerRequest(fd int, what byte, own []int, files map[byte]string, user *syscall.Credential) {
	var f *os.File
	err := errors.New("root helper: unknown file")
	switch path := files[what]; {
	case path == "":
	case what == rootPid[0] && len(own) == 1:
		err = removeGuarded(path, own[0], user)
	case what == rootPid[0]:
		err = errors.New("root helper: the file to be removed is missing")
	default:
		f, err = openGuarded(path, logFlag, user)
	}
	text, rights := []byte{0}, []byte(nil)
	if err != nil {
		text = append(text, err.Error()...)
	} else if f != nil {
		rights = unix.UnixRights(int(f.Fd()))
		defer f.Close()
	}
	unix.Sendmsg(fd, text, rights, nil, unix.MSG_DONTWAIT) // a server that does not listen must not hold up others
}
