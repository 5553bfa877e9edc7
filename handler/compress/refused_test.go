package compress

import (
	"errors"
	"testing"

	"moonbridge/handler/backend"
)

// refusedConn keeps the error with which an exchange was refused.
type refusedConn struct {
	fakeConn
	err error
}

func (c *refusedConn) Refused(err error) { c.ended, c.err = c.ended+1, err }

// refusedFileConn is one that sends files, too.
type refusedFileConn struct{ *refusedConn }

func (refusedFileConn) OutputFile(backend.SentFile, int64, int64, bool) {}

// A backend that refuses an exchange later than in Start has its whole refusal answered, with its fields. A connection that has no
// room for it is told the status.
func TestRefusedLater(t *testing.T) {
	many := &backend.TooMany{Fields: []byte("RateLimit: x\r\n")}
	for name, outward := range map[string]func(backend.Exchange) backend.Exchange{
		"encoded": func(x backend.Exchange) backend.Exchange { return (&exchange{l: new(loop), x: x}).outward() },
		"decoded": func(x backend.Exchange) backend.Exchange { return newDecoding(nil, x, 0, false).outward() },
	} {
		able := &refusedConn{fakeConn: fakeConn{t: t}}
		for _, x := range []backend.Exchange{able, refusedFileConn{able}} {
			able.ended, able.err = 0, nil
			if backend.Refuse(outward(x), many); !errors.Is(able.err, many) || able.ended != 1 || able.failed != 0 {
				t.Errorf("%s, %T: refused with %v, %d ends, status %d", name, x, able.err, able.ended, able.failed)
			}
		}
		plain := &fakeConn{t: t}
		if backend.Refuse(outward(plain), many); plain.ended != 1 || plain.failed != 429 {
			t.Errorf("%s: %d ends, status %d", name, plain.ended, plain.failed)
		}
	}
}
