package tcpproxy_test

import (
	"context"
	"fmt"
	"io"
	"net"

	"moonbridge/engine"
	"moonbridge/handler/tcpproxy"
	"moonbridge/handler/upstream"
)

// Connections go to the service for the name in their first bytes, with the addresses of the clients.
func Example() {
	backend, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer backend.Close()
	go func() {
		c, err := backend.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		io.Copy(c, c)
	}()
	site, err := upstream.New(upstream.Options{}, upstream.Target{Addr: backend.Addr().String()})
	if err != nil {
		panic(err)
	}

	e, err := engine.New(engine.Options{Loops: 1})
	if err != nil {
		panic(err)
	}
	defer e.Shutdown(context.Background())
	ln, err := e.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		panic(err)
	}
	proxy := tcpproxy.New(tcpproxy.Config{
		Sniff: tcpproxy.SniffBoth, // TLS or HTTP
		To: func(c *tcpproxy.Client) *upstream.Set {
			if c.Name == "www.example.com" {
				return site
			}
			return nil
		},
	})
	if err := e.ServeProtocol(ln, proxy, engine.ProtocolOptions{Bounds: proxy.Bounds()}); err != nil {
		panic(err)
	}

	c, err := net.Dial("tcp4", ln.Addr())
	if err != nil {
		panic(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.0\r\nHost: www.example.com\r\n\r\n")
	c.(*net.TCPConn).CloseWrite()
	echo, err := io.ReadAll(c)
	fmt.Printf("%q %v\n", echo, err)
	// Output: "GET / HTTP/1.0\r\nHost: www.example.com\r\n\r\n" <nil>
}
