package reactor

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// where is an address of a test, with the clients that reach it.
type where struct {
	network, host string
	v4, v6        bool // from the loopback addresses
}

var wheres = []where{
	{"tcp4", "127.0.0.1", true, false},
	{"tcp4", "0.0.0.0", true, false},
	{"tcp", "::", true, true},
	{"tcp6", "::", false, true},
	{"tcp6", "::1", false, true},
}

// reach connects from a loopback address.
func reach(host string, port int) error {
	conn, err := net.Dial("tcp", net.JoinHostPort(host, fmt.Sprint(port)))
	if err == nil {
		conn.Close()
	}
	return err
}

// A new address of a port takes the place of the old one, whichever it is. Meanwhile the old one serves, nobody else gets
// the port, and giving up leaves the old one as it was.
func TestRebind(t *testing.T) {
	if !haveIPv6() {
		t.Skip("no IPv6 here")
	}
	for _, from := range wheres {
		for _, to := range wheres {
			if from == to {
				continue
			}
			for _, sockets := range []int{1, 2} {
				name := fmt.Sprintf("%s %s to %s %s, %d sockets", from.network, from.host, to.network, to.host, sockets)
				t.Run(name, func(t *testing.T) { rebind(t, from, to, sockets) })
			}
		}
	}
}

// rebind tries several ports: other programs may have one at the new address.
func rebind(t *testing.T, from, to where, sockets int) {
	for range 20 {
		if rebindPort(t, from, to, sockets) {
			return
		}
	}
	t.Error("each port is in use at the new address")
}

// rebindPort reports whether the port was free at both addresses.
func rebindPort(t *testing.T, from, to where, sockets int) bool {
	old := listen(t, from.network, net.JoinHostPort(from.host, "0"), ListenOptions{Sockets: sockets})
	port := old.Addr().(*net.TCPAddr).Port
	if !from.v4 && reach("127.0.0.1", port) == nil || !from.v6 && reach("::1", port) == nil {
		old.Close()
		return false
	}
	serves := func(what string, v4, v6 bool) {
		t.Helper()
		for host, want := range map[string]bool{"127.0.0.1": v4, "::1": v6} {
			if err := reach(host, port); (err == nil) != want {
				t.Errorf("%s, from %s: %v", what, host, err)
			}
		}
	}
	exclusive := func(what string) {
		t.Helper()
		other, err := OpenListener(from.network, net.JoinHostPort(from.host, fmt.Sprint(port)), ListenOptions{Sockets: sockets})
		if err == nil {
			other.Close()
			t.Errorf("%s: another listener gets the port", what)
		} else if !errors.Is(err, syscall.EADDRINUSE) {
			t.Error(err)
		}
	}
	open := func() *Listener {
		t.Helper()
		ln, err := OpenListener(to.network, net.JoinHostPort(to.host, fmt.Sprint(port)), ListenOptions{Sockets: sockets, Beside: []*Listener{old}})
		if errors.Is(err, syscall.EADDRINUSE) {
			old.Close()
			return nil
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ln.Close() })
		return ln
	}
	given := open()
	if given == nil {
		return false
	}
	apart := !old.at.Overlaps(given.at)
	if !apart {
		serves("bound beside", from.v4, from.v6)
	}
	exclusive("bound beside")
	given.Close()
	serves("given up", from.v4, from.v6)
	exclusive("given up")

	next := open()
	if next == nil {
		return false
	}
	if err := next.Listen(); err != nil {
		t.Fatal(err)
	}
	serves("both", from.v4 || to.v4, from.v6 || to.v6)
	exclusive("both")
	if runtime.GOOS == "linux" && sockets == 1 {
		for _, ln := range []*Listener{old, next} {
			if n, err := unix.GetsockoptInt(ln.free[0], unix.SOL_SOCKET, unix.SO_REUSEPORT); err != nil || n != 0 {
				t.Errorf("%v shares its port: %d, %v", ln.addr, n, err)
			}
		}
	}
	old.Close()
	serves("the new one", to.v4, to.v6)
	if l := startLoop(t, Options{}); sockets == 1 {
		attachOn(t, next, l, newEcho)
		ask(t, next)
	}
	return true
}

// While an address becomes more specific under load, no client that reaches both is turned away: as soon as the new one
// listens, it gets the connections.
func TestRebindUnderLoad(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems may prefer another socket")
	}
	l := startLoop(t, Options{})
	for range 20 {
		before := listen(t, "tcp4", "0.0.0.0:0", ListenOptions{})
		attachOn(t, before, l, newEcho)
		port := before.Addr().(*net.TCPAddr).Port
		client := &Listener{addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}}
		var stop atomic.Bool
		asked := make(chan int)
		go func() {
			n := 0
			for ; !stop.Load() && ask(t, client); n++ {
			}
			asked <- n
		}()
		ln := listen(t, "tcp4", client.Addr().String(), ListenOptions{Beside: []*Listener{before}})
		attachOn(t, ln, l, newEcho)
		if err := before.Close(); err != nil {
			t.Error(err)
		}
		ask(t, ln)
		stop.Store(true)
		if n := <-asked; n == 0 || t.Failed() {
			t.Fatalf("%d clients were served", n)
		}
	}
}

// A port that another process shares with us is still in use, although the kernel would let us have it.
func TestRebindBesideOtherProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs the list of sockets")
	}
	ours := listen(t, "tcp4", "127.0.0.2:0", ListenOptions{Sockets: 2})
	port := fmt.Sprint(ours.Addr().(*net.TCPAddr).Port)
	other := listen(t, "tcp4", "127.0.0.3:"+port, ListenOptions{Sockets: 2})
	open := func() error {
		ln, err := OpenListener("tcp4", "0.0.0.0:"+port, ListenOptions{Sockets: 2, Beside: []*Listener{ours}})
		if err == nil {
			ln.Close()
		}
		return err
	}
	if err := open(); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("beside the other's: %v", err)
	}
	other.Close()
	if err := open(); err != nil {
		t.Errorf("after the other's end: %v", err)
	}
}
