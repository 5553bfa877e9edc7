package reactor_test

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"syscall"

	"moonbridge/reactor"
)

// echo sends back what its peer sends. It belongs to a loop.
type echo struct {
	loop *reactor.Loop
	fd   int
	buf  [4096]byte
}

// Ready is told once that there is something to read, so it reads until there is nothing left.
func (e *echo) Ready(got reactor.Readiness) {
	for {
		n, errno := reactor.Read(e.fd, e.buf[:])
		if errno == syscall.EAGAIN {
			return
		}
		if n == 0 || errno != 0 {
			e.loop.Close(e.fd)
			return
		}
		// A server would keep what the socket does not take, and go on when it is told Writable.
		if m, errno := reactor.Write(e.fd, e.buf[:n]); m < n || errno != 0 {
			e.loop.Close(e.fd)
			return
		}
	}
}

func Example() {
	loop, err := reactor.NewLoop(reactor.Options{})
	if err != nil {
		panic(err)
	}
	ln, err := reactor.OpenListener("tcp4", "127.0.0.1:0", reactor.ListenOptions{})
	if err != nil {
		panic(err)
	}
	err = ln.Attach(loop, func(fd int, peer netip.AddrPort) {
		if err := loop.Add(fd, &echo{loop: loop, fd: fd}); err != nil {
			panic(err)
		}
	}, nil)
	if err != nil {
		panic(err)
	}
	ended := make(chan error)
	go func() { ended <- loop.Run() }()

	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		panic(err)
	}
	defer c.Close()
	fmt.Fprint(c, "hello")
	c.(*net.TCPConn).CloseWrite()
	answer, err := io.ReadAll(c)
	fmt.Printf("%s %v\n", answer, err)

	ln.Close()
	loop.Stop()
	fmt.Println(<-ended)
	// Output:
	// hello <nil>
	// <nil>
}

// Other goroutines reach a loop through Post. Everything else is called on the loop.
func ExampleLoop_Post() {
	loop, err := reactor.NewLoop(reactor.Options{})
	if err != nil {
		panic(err)
	}
	ended := make(chan error)
	go func() { ended <- loop.Run() }()

	done := make(chan bool)
	loop.Post(func() {
		fmt.Println("on the loop")
		loop.After(0, func() { close(done) })
	})
	<-done
	loop.Stop()
	fmt.Println(<-ended)
	// Output:
	// on the loop
	// <nil>
}
