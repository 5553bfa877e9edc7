package pool

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
)

// controlTimeout bounds the wait for room in a control socket's buffer. Many messages fit into it, so a process that does
// not read for that long hangs.
const controlTimeout = 5 * time.Second

var errMessage = errors.New("malformed message")

// writeMsg sends a message, with descriptors if there are some.
func writeMsg(c *net.UnixConn, typ uint32, body []byte, fds ...int) error {
	m := append(shm.Bytes(&shm.Msg{Type: typ, Len: uint32(len(body))}), body...)
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	if err := c.SetWriteDeadline(time.Now().Add(controlTimeout)); err != nil {
		return err
	}
	n, _, err := c.WriteMsgUnix(m, rights, nil)
	if err == nil && n < len(m) {
		_, err = c.Write(m[n:])
	}
	return err
}

// readMsg receives a message. body is valid until the next call with the same buf.
func readMsg(c io.Reader, buf *[]byte) (typ uint32, body []byte, err error) {
	var m shm.Msg
	if _, err := io.ReadFull(c, shm.Bytes(&m)); err != nil {
		return 0, nil, err
	}
	if m.Len > shm.MsgMax {
		return 0, nil, fmt.Errorf("%w: %d bytes", errMessage, m.Len)
	}
	if cap(*buf) < int(m.Len) {
		*buf = make([]byte, m.Len)
	}
	body = (*buf)[:m.Len]
	if _, err = io.ReadFull(c, body); err != nil {
		return 0, nil, fmt.Errorf("%w: %w", errMessage, err)
	}
	return m.Type, body, nil
}

// as reads the body of a message of fixed size.
func as[T any](body []byte) (t T, err error) {
	if len(body) != int(unsafe.Sizeof(t)) {
		return t, fmt.Errorf("%w: %d bytes", errMessage, len(body))
	}
	copy(shm.Bytes(&t), body)
	return t, nil
}

// controlPair makes a control socket: our end, and the one for the other process, which blocks.
func controlPair() (ours *net.UnixConn, theirs *os.File, err error) {
	syscall.ForkLock.RLock()
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(p[0])
		unix.CloseOnExec(p[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	theirs = os.NewFile(uintptr(p[1]), "control")
	f := os.NewFile(uintptr(p[0]), "control")
	c, err := net.FileConn(f) // has a duplicate
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("control socket: %w", err), theirs.Close())
	}
	return c.(*net.UnixConn), theirs, nil
}

// logPipe makes a pipe for standard error: our end, and the one for the other process, which blocks: a program does not
// expect EAGAIN there.
func logPipe() (ours, theirs *os.File, err error) {
	var p [2]int
	syscall.ForkLock.RLock()
	err = unix.Pipe(p[:])
	if err == nil {
		unix.CloseOnExec(p[0])
		unix.CloseOnExec(p[1])
	}
	syscall.ForkLock.RUnlock()
	if err == nil {
		err = unix.SetNonblock(p[0], true) // so that Close ends a Read
	}
	if err != nil {
		return nil, nil, fmt.Errorf("pipe: %w", err)
	}
	return os.NewFile(uintptr(p[0]), "stderr"), os.NewFile(uintptr(p[1]), "stderr"), nil
}
