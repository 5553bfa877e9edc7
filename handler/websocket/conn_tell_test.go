package websocket

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
)

// panicking panics where it is told to.
type panicking struct {
	in     string
	closed int // the code, when Close was called
}

func (p *panicking) at(where string) {
	if p.in == where {
		panic("on purpose")
	}
}

func (p *panicking) Open(*Conn)                  { p.at("Open") }
func (p *panicking) Message(*Conn, Kind, []byte) { p.at("Message") }
func (p *panicking) Room(*Conn)                  { p.at("Room") }
func (p *panicking) Close(_ *Conn, code int, _ string) {
	p.closed = code
	p.at("Close")
}

// A panic of the Handler ends its connection, and nothing else.
func TestHandlerPanics(t *testing.T) {
	for _, in := range []string{"Open", "Message", "Room", "Close"} {
		var log bytes.Buffer
		h := &panicking{in: in}
		raw, c := opened(New(Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}), h)
		want := CodeInternal
		switch in {
		case "Message":
			raw.receive(c, binaryFrame("one"))
		case "Room":
			c.Room(raw)
		case "Close":
			raw.receive(c, closing(CodeNormal))
			want = CodeNormal
		}
		if h.closed != want || !raw.closed || c.state != connClosed {
			t.Errorf("%s: closed with %d, socket closed %v, state %d", in, h.closed, raw.closed, c.state)
		}
		if in != "Close" && !bytes.HasSuffix(raw.sent, closeFrame(CodeInternal)) {
			t.Errorf("%s: sent %q", in, raw.sent)
		}
		if text := log.String(); !strings.Contains(text, "in=websocket.Handler."+in) || !strings.Contains(text, "conn_tell_test.go") {
			t.Errorf("%s: log %q", in, text)
		}
	}
}

func closeFrame(code int) []byte { return appendClose(nil, code, "") }

// So does one of Accept, and an Accept that returns neither a Handler nor a status.
func TestAcceptPanics(t *testing.T) {
	for name, accept := range map[string]func(*Request, *Answer) int{
		"panic":   func(*Request, *Answer) int { panic("on purpose") },
		"nothing": func(*Request, *Answer) int { return 0 },
	} {
		address, _ := serve(t, New(Options{Logger: slog.New(slog.DiscardHandler)}), nil, accept)
		for range 2 {
			q, err := http.NewRequest("GET", "http://"+address+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			for name, value := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="} {
				q.Header.Set(name, value)
			}
			a, err := http.DefaultClient.Do(q)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			io.Copy(io.Discard, a.Body)
			if a.Body.Close(); a.StatusCode != 500 {
				t.Errorf("%s: %d", name, a.StatusCode)
			}
		}
	}
}

// A Server that cannot answer is refused before it is served.
func TestServerIncomplete(t *testing.T) {
	if _, err := (&Server{Endpoint: New(Options{})}).Attach(nil); err == nil {
		t.Error("no error without Accept")
	}
	if _, err := (&Server{Accept: func(*Request, *Answer) (Handler, any, int) { return nil, nil, 403 }}).Attach(nil); err == nil {
		t.Error("no error without Endpoint")
	}
}
