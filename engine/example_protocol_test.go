package engine_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"

	"moonbridge/engine"
	"moonbridge/handler/backend"
)

// lines is a protocol whose server sends each line back in upper case.
type lines struct{}

func (lines) Open(backend.Conn) backend.Stream { return lines{} }

func (lines) Data(c backend.Conn) {
	for !c.Full() { // the peer does not read: wait until it does
		line, _, ok := bytes.Cut(c.Unread(), []byte("\n"))
		if !ok {
			break // the rest will come
		}
		c.Writev(bytes.ToUpper(line), []byte("\n"))
		c.Discard(len(line) + 1)
	}
	if c.Ended() {
		c.Close()
	}
}

func (l lines) Room(c backend.Conn)          { l.Data(c) }
func (lines) Closed(_ backend.Conn, _ error) {}

// A protocol other than HTTP on the event loops.
func ExampleEngine_ServeProtocol() {
	e, err := engine.New(engine.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer e.Shutdown(context.Background())
	ln, err := e.Open("tcp", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		log.Fatal(err)
	}
	if err := e.ServeProtocol(ln, lines{}, engine.ProtocolOptions{}); err != nil {
		log.Fatal(err)
	}

	conn, err := net.Dial("tcp", ln.Addr())
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "one\ntwo\n")
	conn.(*net.TCPConn).CloseWrite()
	answer, err := io.ReadAll(conn)
	fmt.Printf("%q %v\n", answer, err)
	// Output: "ONE\nTWO\n" <nil>
}

// relay sends what its clients send to another server, and the answers back. The loop dials, so nothing waits.
type relay struct{ to backend.Address }

func (r *relay) Open(client backend.Conn) backend.Stream {
	client.Pause()
	giveUp := client.Loop().(backend.Dialer).Dial(r.to, backend.DialOptions{}, &reached{client}, func(error) { client.Reset() })
	return spliced{giveUp}
}

// reached is the protocol of a connection to the other server.
type reached struct{ client backend.Conn }

func (r *reached) Open(server backend.Conn) backend.Stream {
	r.client.Splice(server)
	server.Splice(r.client)
	r.client.Resume()
	return spliced{func() {}}
}

// spliced is a stream that has nothing to do but to give up the other connection if that is not there yet.
type spliced struct{ giveUp func() }

func (spliced) Data(backend.Conn)            {}
func (spliced) Room(backend.Conn)            {}
func (s spliced) Closed(backend.Conn, error) { s.giveUp() }

// A proxy for TCP: bytes pass from one connection to the other with back-pressure, and so do their ends.
func ExampleEngine_ServeProtocol_dial() {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	go func() {
		conn, err := server.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		line, _ := bufio.NewReader(conn).ReadString('\n')
		fmt.Fprintf(conn, "you said %q", line)
	}()

	e, err := engine.New(engine.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer e.Shutdown(context.Background())
	ln, err := e.Open("tcp", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		log.Fatal(err)
	}
	to := backend.Address{AddrPort: netip.MustParseAddrPort(server.Addr().String())}
	if err := e.ServeProtocol(ln, &relay{to}, engine.ProtocolOptions{}); err != nil {
		log.Fatal(err)
	}

	conn, err := net.Dial("tcp", ln.Addr())
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "hello\n")
	answer, err := io.ReadAll(conn)
	fmt.Printf("%s, %v\n", answer, err)
	// Output: you said "hello\n", <nil>
}
