package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"moonbridge/cmd/mbserve/acme/acmetest"
	"moonbridge/reactor/reactortest"
)

// userTest is a server that is started as root and runs as nobody.
type userTest struct {
	*application
	nobody  *user.User
	uid     int
	program string
	dir     string // everybody may enter it, only root may change it
	own     string // belongs to nobody
	private string // only root may enter it
}

// newUserTest skips the test if it needs root. Directories of tests are accessible for root only, hence one of its own.
func newUserTest(t *testing.T) *userTest {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skip("there is no user nobody: ", err)
	}
	dir, err := os.MkdirTemp("", "mbserve")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	u := &userTest{nobody: nobody, uid: number(t, nobody.Uid), dir: dir, program: filepath.Join(dir, "mbserve"),
		own: filepath.Join(dir, "own"), private: filepath.Join(dir, "private")}
	for path, mode := range map[string]os.FileMode{dir: 0o755, u.own: 0o755, u.private: 0o700} {
		if err := os.MkdirAll(path, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(u.own, u.uid, -1); err != nil {
		t.Fatal(err)
	}
	if os.Link(mbserve(t), u.program) != nil {
		t.Skip("the test binary cannot be linked to ", u.program)
	}
	u.application = &application{t, filepath.Join(dir, "app.lua")}
	return u
}

// start starts the server as nobody.
func (u *userTest) start(t *testing.T, args ...string) *replacing {
	t.Helper()
	return startReplacing(t, func(args ...string) *instance { return launchProgram(t, u.program, args...) },
		append(append([]string{"-u", "nobody"}, args...), u.script)...)
}

// helpers are the root helpers of a server.
func (s *instance) helpers() (pids []int) {
	for _, p := range marked(s.mark) {
		line, err := os.ReadFile("/proc/" + itoa(p.pid) + "/cmdline")
		if err == nil && strings.HasPrefix(string(line), rootFilesTitle) {
			pids = append(pids, p.pid)
		}
	}
	return pids
}

func owner(t *testing.T, path string) int {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Sys().(*syscall.Stat_t).Uid)
}

// The environment of the script says who the user is, with any start of a fork server.
func TestUserEnvironment(t *testing.T) {
	t.Parallel()
	u := newUserTest(t)
	u.write(`@ local names = { "HOME", "USER", "LOGNAME", "SHELL", "PATH" }
		listen{ port, connect = http.generate_handler(function(request)
			request:send_status("200 OK")
			for i, name in ipairs(names) do request:send_data(name, "=", tostring(os.getenv(name)), "\n") end
		end) }`)
	s := u.start(t)
	want := fmt.Sprintf("HOME=%s\nUSER=nobody\nLOGNAME=nobody\nSHELL=%s\nPATH=%s\n", u.nobody.HomeDir, shellOf("nobody"), os.Getenv("PATH"))
	if shellOf("nobody") == "" || shellOf("no such user") != "/bin/sh" {
		t.Errorf("shells %q, %q", shellOf("nobody"), shellOf("no such user"))
	}
	for _, how := range []string{"HUP", "USR2", "HUP"} {
		if got := get(t, s.url("/")); got != want {
			t.Errorf("before %s: %q, want %q", how, got, want)
		}
		s.mustChange(how)
	}
	if got := get(t, s.url("/")); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	s.end()
}

// A Unix socket belongs to the user, wherever it is. A reload can change its permissions, but does not try to without need.
func TestUserSocket(t *testing.T) {
	t.Parallel()
	u := newUserTest(t)
	script := `@
		listen{ { proto = "local", path = %q, mode = "%s" }, { proto = "local", path = %q, mode = "%s" },
			{ proto = "local", path = %q }, port, connect = say("%s") }`
	paths := []any{filepath.Join(u.dir, "root"), filepath.Join(u.own, "user"), filepath.Join(u.private, "plain")}
	write := func(mode, say string) {
		u.write(script, paths[0], mode, paths[1], mode, paths[2], say)
	}
	write("0660", "one")
	s := u.start(t)
	check := func(mode os.FileMode, say string) {
		t.Helper()
		for i, path := range paths {
			if got := getLocal(t, path.(string)); got != say {
				t.Errorf("%s: %q", path, got)
			}
			info, err := os.Lstat(path.(string))
			if err != nil {
				t.Fatal(err)
			}
			if got := owner(t, path.(string)); got != u.uid || i < 2 && info.Mode().Perm() != mode {
				t.Errorf("%s: %v, of user %d", path, info.Mode(), got)
			}
		}
	}
	check(0o660, "one")
	for _, how := range []string{"HUP", "USR2"} {
		write("0660", how)
		s.mustChange(how)
		check(0o660, how)
		write("0600", how+" again")
		s.mustChange(how)
		check(0o600, how+" again")
		write("0660", how)
		s.mustChange(how)
	}
	s.end()
	if _, err := os.Lstat(paths[1].(string)); !os.IsNotExist(err) {
		t.Errorf("the user's socket: %v", err)
	}
	// The user may not remove the others. They are replaced at the next start.
	again := u.start(t)
	check(0o660, "USR2")
	again.stop()
}

// A reload that fails leaves the permissions of a socket as they were.
func TestReloadSocketMode(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	path := filepath.Join(t.TempDir(), "socket")
	script := `@ listen{ { proto = "local", path = %q, mode = "%s" }, port, connect = say("x") } %s`
	a.write(script, path, "0600", "")
	s := start(t, a.script)
	a.write(script, path, "0666", `error("on purpose")`)
	if line := s.reload(); !strings.Contains(line, "reload failed") {
		t.Fatal(line)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	a.write(script, path, "0666", "")
	s.mustReload()
	if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("%v, %v", info, err)
	}
}

// The address of a port can change although the first sockets were opened by root.
func TestUserChangesAddress(t *testing.T) {
	t.Parallel()
	u := newUserTest(t)
	u.write(`@ listen{ port, connect = say("one") }`)
	s := u.start(t)
	_, portNumber, _ := net.SplitHostPort(s.address(0))
	for _, listener := range []string{`proto = "tcp4"`, `proto = "tcp"`, `proto = "tcp4", localhost = true`} {
		u.write(`@ listen{ { %s, port = %s }, connect = say("two") }`, listener, portNumber)
		s.mustChange("HUP")
		if got := get(t, s.url("/")); got != "two" {
			t.Errorf("%s: %q", listener, got)
		}
	}
	s.end()
}

// Logs are reopened wherever they are, by the server and by those that replace it, and the pid file is removed.
func TestUserFiles(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"root", "private", "own"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			u := newUserTest(t)
			dir := map[string]string{"root": u.dir, "private": u.private, "own": u.own}[where]
			u.write(`@ listen{ port, connect = say("x") }`)
			log, access, pid := filepath.Join(dir, "log"), filepath.Join(dir, "access"), filepath.Join(dir, "pid")
			s := launchProgram(t, u.program, "-u", "nobody", "-l", log, "--access-log", access, "-p", pid, u.script)
			text := func(name string) string {
				b, _ := os.ReadFile(name)
				return string(b)
			}
			eventually(t, "it is ready", func() bool { return strings.Contains(text(log), "msg=ready") })
			url := field(text(log), "address")
			now := s.pid()
			for i, how := range []string{"start", "USR2", "USR2"} {
				if how == "USR2" {
					if err := syscall.Kill(now, syscall.SIGUSR2); err != nil {
						t.Fatal(err)
					}
					old := now
					eventually(t, "the pid file has the new process", func() bool {
						if n := strings.TrimSpace(text(pid)); n != "" {
							now = number(t, n)
						}
						return now != old && gone(old)
					})
				}
				moved := fmt.Sprint(".", i)
				for _, name := range []string{log, access} {
					if err := os.Rename(name, name+moved); err != nil {
						t.Fatal(err)
					}
				}
				for range 2 { // the second time there is nothing to do
					if err := syscall.Kill(now, syscall.SIGUSR1); err != nil {
						t.Fatal(err)
					}
					eventually(t, how+": the logs are reopened", func() bool {
						_, errLog := os.Stat(log)
						_, errAccess := os.Stat(access)
						return errLog == nil && errAccess == nil
					})
				}
				eventually(t, how+": the new access log is used", func() bool {
					get(t, url)
					return strings.Contains(text(access), "GET / ")
				})
				if got := owner(t, log); (got == u.uid) != (where == "own") {
					t.Errorf("%s: the log belongs to %d", how, got)
				}
			}
			if n := len(s.helpers()); n != 1 {
				t.Errorf("%d root helpers", n)
			}
			s.awaitExit()
			s.endOf(now) // and no root helper is left
			if !strings.Contains(text(log), "msg=stopped") {
				t.Errorf("the last log: %s", text(log))
			}
			for _, name := range []string{log, log + ".0", log + ".1", log + ".2"} {
				if strings.Contains(text(name), "level=ERROR") {
					t.Errorf("%s: %s", name, text(name))
				}
			}
			if _, err := os.Lstat(pid); !os.IsNotExist(err) {
				t.Errorf("the pid file: %v", err)
			}
		})
	}
}

// At its end, a server does not remove a pid file that another one has put in the place of its own, wherever that is.
func TestUserLeavesOthersPidFile(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"root", "private", "own"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			u := newUserTest(t)
			pid := filepath.Join(map[string]string{"root": u.dir, "private": u.private, "own": u.own}[where], "pid")
			u.write(`@ listen{ port, connect = say("x") }`)
			s := launchProgram(t, u.program, "-u", "nobody", "-p", pid, u.script)
			s.wait("msg=ready")
			if err := os.Remove(pid); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(pid, []byte("1\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			s.stop()
			if text, err := os.ReadFile(pid); string(text) != "1\n" {
				t.Errorf("the other pid file: %q, %v", text, err)
			}
		})
	}
}

// The root helper opens what the command line names, and nothing else, whatever the server asks for.
func TestRootHelper(t *testing.T) {
	u := newUserTest(t)
	log, pid := filepath.Join(u.dir, "log"), filepath.Join(u.dir, "pid")
	t.Setenv(envServer, newMark())
	r, err := startRootFiles(credentialOf(u), map[string]string{rootLog: log, rootPid: pid})
	if err != nil {
		t.Fatal(err)
	}
	defer r.conn.Close()
	for range 2 {
		f, err := r.ask(rootLog, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString("line\n"); err != nil {
			t.Error(err)
		}
		f.Close()
	}
	if text, err := os.ReadFile(log); string(text) != "line\nline\n" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := r.ask(rootAccess, nil); err == nil || !strings.Contains(err.Error(), "unknown file") {
		t.Errorf("a file that it was not told of: %v", err)
	}
	own, err := os.Create(pid)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	other, err := os.Create(pid + ".other")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for _, f := range []*os.File{other, nil} {
		if _, err := r.ask(rootPid, f); err == nil {
			t.Error("removed another file than the one that was meant")
		}
	}
	if _, err := os.Lstat(pid); err != nil {
		t.Error(err)
	}
	if _, err := r.ask(rootPid, own); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(pid); !os.IsNotExist(err) {
		t.Errorf("the pid file: %v", err)
	}
	if _, err := r.ask(rootPid, own); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a pid file that is gone: %v", err)
	}
	// Nonsense is ignored.
	r.conn.Write([]byte("abc"))
	if f, err := r.ask(rootLog, nil); err != nil {
		t.Error(err)
	} else {
		f.Close()
	}
}

func credentialOf(u *userTest) *syscall.Credential {
	return &syscall.Credential{Uid: uint32(u.uid), Gid: uint32(number(u.t, u.nobody.Gid))}
}

// Root follows no link that the user could have made, and opens no file with another name.
func TestGuardedPaths(t *testing.T) {
	u := newUserTest(t)
	user := credentialOf(u)
	secret := filepath.Join(u.private, "secret")
	link := func(to, from string) string {
		if err := os.Symlink(to, from); err != nil {
			t.Fatal(err)
		}
		return from
	}
	write := func(path string) string {
		if err := os.WriteFile(path, []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write(secret)
	own, err := os.Open(secret)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	below := filepath.Join(u.own, "below")
	if err := os.Mkdir(below, 0o700); err != nil {
		t.Fatal(err)
	}
	hard := filepath.Join(u.own, "hard")
	if err := os.Link(secret, hard); err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(u.own, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if fd, err := syscall.Open(pipe, syscall.O_RDONLY|syscall.O_NONBLOCK, 0); err == nil {
		defer syscall.Close(fd)
	}
	other := write(filepath.Join(u.dir, "other"))
	for _, c := range []struct {
		path string
		ok   bool
	}{
		{filepath.Join(u.dir, "new"), true},
		{other, true},
		{filepath.Join(u.private, "new"), true},
		{link(other, filepath.Join(u.dir, "link")), true},
		{link("./private/../other", filepath.Join(u.dir, "winding")), true},
		{link(u.private, filepath.Join(u.dir, "dirlink")) + "/more", true},
		{"/dev/null", true},
		{filepath.Join(u.own, "new"), true},
		{filepath.Join(below, "new"), true},
		{write(filepath.Join(below, "old")), true},

		{link(other, filepath.Join(u.own, "link")), false},
		{link(u.private, filepath.Join(u.own, "dirlink")) + "/secret", false},
		{link("../private", filepath.Join(below, "dirlink")) + "/secret", false},
		{link(u.own, filepath.Join(u.dir, "toown")) + "/dirlink/secret", false},
		{hard, false},
		{pipe, false},
		{link("loop", filepath.Join(u.dir, "loop")), false},
		{u.own, false},
		{filepath.Join(u.dir, "none", "file"), false},
	} {
		f, err := openGuarded(c.path, logFlag, user)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.path, err)
		}
		if err == nil {
			f.Close()
		}
	}
	if err := removeGuarded(filepath.Join(u.own, "dirlink", "secret"), int(own.Fd()), user); err == nil {
		t.Error("removed through a link")
	}
	if text, err := os.ReadFile(secret); string(text) != "secret" {
		t.Errorf("%q, %v", text, err)
	}
	// The user himself opens less.
	if err := asUser(user, func() error {
		_, err := openForWriting(other, logFlag)
		return err
	}); !strings.Contains(fmt.Sprint(err), "permission denied") {
		t.Errorf("as the user: %v", err)
	}
	if f, err := os.OpenFile(secret, os.O_WRONLY, 0); err != nil {
		t.Errorf("as root again: %v", err)
	} else {
		f.Close()
	}
}

// Standard error can be named as a log although the user may not open the pipe.
func TestUserLogsToStandardError(t *testing.T) {
	t.Parallel()
	u := newUserTest(t)
	u.write(`@ listen{ port, connect = say("x") }`)
	s := launchProgram(t, u.program, "-u", "nobody", "-l", "/dev/stderr", u.script)
	s.wait("msg=ready")
	if got := get(t, s.url("/")); got != "x" {
		t.Errorf("%q", got)
	}
}

// The server accepts no connection before it has given up root privileges.
func TestUserServesWithoutPrivileges(t *testing.T) {
	t.Parallel()
	u := newUserTest(t)
	path := filepath.Join(u.dir, "socket")
	u.write(`@ listen{ { proto = "local", path = %q }, port, connect = say("x") }`, path)
	s := launchProgram(t, u.program, "-u", "nobody", u.script)
	var status string
	eventually(t, "a request is answered", func() bool {
		c, err := net.Dial("unix", path)
		if err != nil {
			return false // the socket is not there, or does not listen yet
		}
		c.Close()
		if got := getLocal(t, path); got != "x" {
			t.Errorf("%q", got)
		}
		b, err := os.ReadFile("/proc/" + itoa(s.pid()) + "/status")
		if err != nil {
			t.Fatal(err)
		}
		status = string(b)
		return true
	})
	if want := "Uid:\t" + strings.Repeat(u.nobody.Uid+"\t", 3) + u.nobody.Uid; !strings.Contains(status, want) {
		t.Errorf("no %q in\n%s", want, status)
	}
	s.wait("msg=ready")
}

// Without the root helper the server goes on, with the logs that it has.
func TestRootHelperKilled(t *testing.T) {
	t.Parallel()
	u := newUserTest(t)
	u.write(`@ listen{ port, connect = say("x") }`)
	log, pid := filepath.Join(u.dir, "log"), filepath.Join(u.dir, "pid")
	s := launchProgram(t, u.program, "-u", "nobody", "-l", log, "-p", pid, u.script)
	text := func(name string) string {
		b, _ := os.ReadFile(name)
		return string(b)
	}
	eventually(t, "it is ready", func() bool { return strings.Contains(text(log), "msg=ready") })
	helpers := s.helpers()
	if len(helpers) != 1 {
		t.Fatalf("root helpers %v", helpers)
	}
	kill(t, helpers[0])
	eventually(t, "the root helper is gone", func() bool { return len(s.helpers()) == 0 })
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	s.signal(syscall.SIGUSR1)
	eventually(t, "the error is logged", func() bool {
		return strings.Contains(text(log+".1"), "log file not reopened: the old one stays in use") &&
			strings.Contains(text(log+".1"), "root helper: ")
	})
	if got := get(t, field(text(log+".1"), "address")); got != "x" {
		t.Errorf("%q", got)
	}
	s.stop()
	if got := text(pid); got != "" {
		t.Errorf("the pid file has %q", got)
	}
}

// upgrade has the server replaced, and returns the number of the new process.
func (s *instance) upgrade(pidName string) int {
	s.t.Helper()
	s.signal(syscall.SIGUSR2)
	s.wait("msg=upgrading")
	eventually(s.t, "it is over", func() bool {
		return strings.Contains(s.log.String(), "handed over") || strings.Contains(s.log.String(), "upgrade failed")
	})
	if strings.Contains(s.log.String(), "upgrade failed") {
		s.t.Fatal("the new process has failed")
	}
	return s.awaitNew(pidName)
}

// A token that only root may read holds in the process that replaces the server, too.
func TestUserAdminToken(t *testing.T) {
	t.Parallel()
	u := newUserTest(t)
	const word = "0123456789abcdef"
	token, pid := filepath.Join(u.private, "token"), filepath.Join(u.own, "pid")
	if err := os.WriteFile(token, []byte(word), 0o600); err != nil {
		t.Fatal(err)
	}
	u.write(`@ listen{ port, connect = say("x") }`)
	s := launchProgram(t, u.program, "-u", "nobody", "-p", pid, "--admin", "127.0.0.1:0", "--admin-token-file", token, u.script)
	s.wait("msg=ready")
	heir := s.upgrade(pid)
	req, err := http.NewRequest("POST", strings.Replace(field(s.wait("msg=admin "), "address"), "/status", "/reload", 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+word)
	resp, err := (&http.Client{Timeout: patience}).Do(req)
	if err != nil || resp.StatusCode != http.StatusAccepted {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
	s.wait("msg=reloaded")
	s.endOf(heir)
}

// Certificates whose keys only root may read stay in use over a reload, and in the process that replaces the server.
func TestUserCertificates(t *testing.T) {
	t.Parallel()
	u := newUserTest(t)
	trusted := certificateFiles(t, u.private, "a", "a.test")
	pid := filepath.Join(u.own, "pid")
	u.write(`@ listen{ { proto = "tcp4", port = 0, localhost = true, tls = { cert = "%[1]s/a.pem", key = "%[1]s/a-key.pem" } }, connect = say("x") }`, u.private)
	s := launchProgram(t, u.program, "-u", "nobody", "-p", pid, u.script)
	s.wait("msg=ready")
	at := field(s.wait("msg=listening"), "address")
	heir := s.upgrade(pid)
	s.wait("certificate not read again: the one in use stays in use", "permission denied")
	client, _ := tlsClient("a.test", trusted)
	resp, err := client.Get(at)
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
	s.endOf(heir)
}

// So do the certificates of client_ca.
func TestUserClientCA(t *testing.T) {
	t.Parallel()
	u := newUserTest(t)
	trusted := certificateFiles(t, u.private, "server", "server.test")
	certificateFiles(t, u.private, "client", "client.test")
	text := `@ listen{ { proto = "tcp4", port = 0, localhost = true, tls = {
		cert = "%[1]s/server.pem", key = "%[1]s/server-key.pem", client_ca = "%[1]s/client.pem" } }, connect = say(%[2]q) }`
	u.write(text, u.private, "first")
	s := u.start(t)
	at := field(s.wait("msg=listening"), "address")
	pair, err := tls.LoadX509KeyPair(u.private+"/client.pem", u.private+"/client-key.pem")
	if err != nil {
		t.Fatal(err)
	}
	stranger, _ := tlsClient("server.test", trusted)
	client, config := tlsClient("server.test", trusted)
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	wantsToHear(t, client, at, "first")
	for i, how := range []string{"HUP", "USR2", "HUP"} {
		word := fmt.Sprint(how, i)
		u.write(text, u.private, word)
		s.mustChange(how)
		wantsToHear(t, client, at, word)
		if got, err := says(stranger, at); err == nil {
			t.Errorf("after %s, a client without a certificate hears %q", how, got)
		}
	}
	s.wait("client_ca not read again: the certificates in use stay in use", "permission denied")
	s.end()
}

// So does ca_root of ACME. Certificates are obtained although the server is not root any more when it asks for them.
func TestUserACMERoot(t *testing.T) {
	t.Parallel()
	u := newUserTest(t)
	o := acmetest.Options{TLSPort: reactortest.FreePortNumber(t), HTTPPort: reactortest.FreePortNumber(t)}
	authority := acmetest.New(t, o)
	authority.Start(t)
	root, err := os.ReadFile(authority.RootFile)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(u.private, "root.pem")
	if err := os.WriteFile(file, root, 0o600); err != nil {
		t.Fatal(err)
	}
	u.write(`@ listen{ { proto = "tcp4", port = %d, localhost = true, tls = { acme = { domains = { "a.test" }, storage = %q, ca = %q, ca_root = %q } } },
		{ proto = "tcp4", port = %d, localhost = true }, port, connect = say("x") }`,
		o.TLSPort, filepath.Join(u.own, "certificates"), authority.Directory, file, o.HTTPPort)
	s := u.start(t)
	s.wait("certificate obtained", "domain=a.test")
	for _, how := range []string{"HUP", "USR2", "HUP"} {
		s.mustChange(how)
		client := (&automatic{instance: s.instance, authority: authority}).client("a.test")
		wantsToHear(t, client, "https://"+s.address(0)+"/", "x")
	}
	s.wait("ca_root not read again: the certificates in use stay in use", "permission denied")
	if text := s.log.String(); strings.Contains(text, "certificates are not kept") {
		t.Error("certificates are not kept")
	}
	s.end()
}
