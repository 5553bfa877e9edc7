package compress

import (
	"testing"

	"moonbridge/handler/backend"
)

// securedConn is a connection with TLS.
type securedConn struct {
	backend.Exchange
	state *backend.TLSState
}

func (c securedConn) TLS() *backend.TLSState { return c.state }

// securedFileConn is one that sends files, too.
type securedFileConn struct{ securedConn }

func (securedFileConn) OutputFile(backend.SentFile, int64, int64, bool) {}

// What stands between a connection and a backend does not hide that the connection has TLS.
func TestSecured(t *testing.T) {
	state := new(backend.TLSState)
	for _, x := range []backend.Exchange{securedConn{state: state}, securedFileConn{securedConn{state: state}}} {
		for name, outward := range map[string]backend.Exchange{
			"encoded": (&exchange{x: x}).outward(),
			"decoded": (&decoding{Exchange: x}).outward(),
		} {
			if backend.TLSOf(outward) != state {
				t.Errorf("%s, %T: TLS is hidden", name, x)
			}
		}
	}
}
