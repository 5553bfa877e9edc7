package websocket_test

import (
	"context"
	"fmt"
	"net"

	"moonbridge/engine"
	"moonbridge/handler/websocket"
	"moonbridge/handler/websocket/wstest"
)

// echo sends messages back. Its methods are called on the loop of the connection.
type echo struct{}

func (echo) Open(*websocket.Conn)                                        {}
func (echo) Message(c *websocket.Conn, kind websocket.Kind, data []byte) { c.Send(kind, data) }
func (echo) Close(_ *websocket.Conn, code int, reason string)            {}

// accept decides about an opening handshake: everybody may connect.
func accept(*websocket.Request, *websocket.Answer) (websocket.Handler, any, int) {
	return echo{}, nil, 0
}

func Example() {
	e, err := engine.New(engine.Options{Loops: 1})
	if err != nil {
		panic(err)
	}
	defer e.Shutdown(context.Background())
	ln, err := e.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		panic(err)
	}
	b := &websocket.Server{Endpoint: websocket.New(websocket.Options{MaxMessage: 64 << 10}), Accept: accept}
	if err := e.Serve(ln, b, 0, engine.Limits{}); err != nil {
		panic(err)
	}

	// Any client will do. This one is for tests.
	conn, err := net.Dial("tcp", ln.Addr())
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	client, err := wstest.Open(conn, "/", "")
	if err != nil {
		panic(err)
	}
	client.Message(wstest.Text, []byte("hello"), 100)
	_, data := client.Receive()
	fmt.Printf("%s\n", data)
	client.Close(1000)
	// Output: hello
}
