package engine

import (
	"net/netip"
	"path/filepath"
	"syscall"
	"testing"
)

// The poller can refuse a connection, because memory is short or because of fs.epoll.max_user_watches. Only that connection
// is lost.
func TestPollerRefusesConnection(t *testing.T) {
	b := &testBackend{window: 64}
	e, addr := start(t, Options{Loops: 1}, Limits{}, b)
	// A regular file is refused too.
	fd, err := syscall.Open(filepath.Join(t.TempDir(), "file"), syscall.O_CREAT|syscall.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	e.onEveryLoop(func(l *loop) error {
		lb, err := l.attach(b)
		if err != nil {
			return err
		}
		s := &service{backend: lb, limits: Limits{}.resolve(), addrs: &addrs{}}
		l.accept(s, fd, netip.AddrPort{}, 0)
		if l.conns.Len() != 0 {
			t.Errorf("%d connections left", l.conns.Len())
		}
		return nil
	})
	if err := syscall.Close(fd); err != syscall.EBADF {
		t.Errorf("close: %v, want EBADF: closed already", err)
	}
	p := dial(t, addr)
	p.say(get("/hello"))
	p.hears(200)
}
