package engine

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"moonbridge/handler/logging"
	"moonbridge/httpwrite"
)

// TLS is spoken by package crypto/tls as it is. Once the handshake is over, it works on a loop: a read of its transport may fail
// with a temporary error, which means "later", and a write never has to wait (tls_conn.go). Only the handshake cannot be
// interrupted. It runs on a coroutine of the loop (tls_fiber.go), or on a goroutine, for which the loop moves the bytes (tls_handshake.go).
//
// A TLS connection is an ordinary conn on a second loop object, which shares the thread with the first and differs in its system:
// calls on the socket encrypt and decrypt (tls_system.go). So connections without TLS do not even ask whether they have it.

// TLS makes the connections of a listener speak TLS: see Listener.SetTLS.
type TLS struct {
	// Config is used as it is: the engine adds nothing and does not copy it. It needs a certificate. For Serve, NextProtos may name
	// "http/1.1", "http/1.0", "h2" and "acme-tls/1". A client that chooses "h2" is served with HTTP/2, on the same loop by the same backend. A
	// connection with "acme-tls/1" is a challenge of ACME, and ends after its handshake, whatever serves the listener. A session
	// ticket key that is set in the Config is used, otherwise crypto/tls rotates its own.
	//
	// Open connections change to what serves the listener next, whose Config may have other certificates. But if its ClientAuth or
	// its ClientCAs differ, or if there was no TLS before, Serve ends them like Listener.Close: their clients were not checked in
	// the way that holds now. What functions of the Config check is not compared.
	Config *tls.Config
	// HandshakeTimeout bounds the time from accept to the end of the handshake. Then the connection is closed. Default
	// 10 s; a negative value means no limit.
	HandshakeTimeout time.Duration
}

const (
	handshakeTimeoutDefault = 10 * time.Second
	// handshakesDefault is Options.Handshakes, unless that is set. As many more wait.
	handshakesDefault = 4096
	// slotMost is how long a handshake that computes counts among those that do.
	slotMost = 50 * time.Millisecond
	// handshakeInputMax is how many bytes wait for a handshake, and so the largest first message. Then nothing more is read until
	// some are used. It has to hold a whole record.
	handshakeInputMax = 32 << 10
	// handshakeLinger is how long a connection whose handshake has failed waits for its peer to close: a close with bytes
	// unread would destroy the alert that says why.
	handshakeLinger = time.Second
	// recordBytes is the most plaintext of a record (RFC 8446 §5.1).
	recordBytes = 16 << 10
	// sealAhead is how much plaintext is encrypted for one write. What the socket does not take of it is held.
	sealAhead = 64 << 10
	// cipherHeldMax bounds the ciphertext that waits for the peer: sealAhead with its overhead, and answers to requests for new
	// keys (RFC 8446 §4.6.3). A peer that goes on asking for keys and reads nothing is cut off.
	cipherHeldMax = 128 << 10
	// surplusMax bounds what is decrypted in a turn for nothing. A request for a new key has 27 bytes and takes more time than 4 KiB of
	// data, so the whole buffer of a socket could stop a loop for seconds. The rest is left to later turns. It has to be more than a record.
	surplusMax = 20 << 10
)

// ErrNoCertificate is for the GetCertificate of a tls.Config. The log then says that a handshake has failed because there is no
// certificate. The error may wrap it.
var ErrNoCertificate = errors.New("there is no certificate")

// errHandshakePanic ends a handshake in which a function of the program has not returned.
var errHandshakePanic = errors.New("a function of the tls.Config has not returned")

// challengeProtocol is the application protocol of connections that authorities make to check who serves a host (RFC 8737). They end
// with their handshake.
const challengeProtocol = "acme-tls/1"

// SetTLS makes the listener's connections speak TLS. nil, as at first: they do not. It has an effect on connections that begin
// after the next Serve, ServeSockets or ServeProtocol; those that are open may end then: see TLS.Config. A TLS without a Config panics.
func (ln *Listener) SetTLS(t *TLS) {
	if t != nil {
		if t.Config == nil {
			panic("engine: SetTLS: TLS.Config is nil")
		}
		ln.e.handshakes.prepare(len(ln.e.loops))
	}
	ln.tls.Store(t)
}

// Handshakes returns how many TLS handshakes are in progress, and how many wait to begin because Options.Handshakes are.
func (e *Engine) Handshakes() (running, waiting int) { return e.handshakes.figures() }

func (t *TLS) timeoutMS() uint64 { return milliseconds(t.HandshakeTimeout, handshakeTimeoutDefault) }

// admits reports whether a connection that has begun under before may be served where t holds: its client was checked in the same way.
// Either may be nil. Where there is no TLS, nothing is asked of a connection that has it.
func (t *TLS) admits(before *TLS) bool {
	if before == nil || t == nil {
		return t == nil && (before == nil || before.Config.ClientAuth == tls.NoClientCert)
	}
	a, b := before.Config, t.Config
	return a.ClientAuth == b.ClientAuth && (a.ClientAuth < tls.VerifyClientCertIfGiven || a.ClientCAs.Equal(b.ClientCAs))
}

// alertInternalError is a record with a fatal alert (RFC 8446 §6.2): for a peer that there is no room for.
var alertInternalError = []byte{21, 3, 3, 0, 2, 2, 80}

// turnAwayTLS closes a connection that there is no room for.
func (l *loop) turnAwayTLS(fd int) {
	l.closeAfter(fd, alertInternalError)
}

// Messages and causes of the log.
const (
	handshakesFailed = "TLS handshakes failed"
	handshakesAbove  = "TLS handshakes turned away: limit reached"

	handshakesPanicked = "panics in TLS handshakes"

	causeHandshakeTimeout = "not complete in time"
	causeHandshakeCut     = "connection closed by the client"
	causeHandshakeAlert   = "refused by the client"
	causeHandshakeNotTLS  = "not TLS"
	causeHandshakeHTTP    = "HTTP request without TLS"
	causeHandshakeNoCert  = "no certificate"
	causeHandshakeRefused = "refused"
)

// handshakeCauses are all of them.
var handshakeCauses = []string{
	causeHandshakeTimeout, causeHandshakeCut, causeHandshakeAlert, causeHandshakeNotTLS, causeHandshakeHTTP, causeHandshakeNoCert, causeHandshakeRefused,
}

// shownOfHandshakeError bounds an error in the log, which may contain a name that the peer has sent.
const shownOfHandshakeError = 200

// countHandshake counts a handshake that has failed.
func (l *loop) countHandshake(cause string, err error, peer netip.AddrPort) {
	l.e.tally.Add(logging.Event{Level: slog.LevelInfo, Message: handshakesFailed, Cause: cause}, func() []slog.Attr {
		attrs := clientAttr(peer)
		if err != nil {
			attrs = append(attrs, slog.String("err", logging.Quoted([]byte(err.Error()), shownOfHandshakeError)))
		}
		return attrs
	})
}

// plainRequestPage answers a request that was sent without TLS to a listener that speaks TLS.
func (l *loop) plainRequestPage(b *binding) []byte {
	p := httpwrite.ErrorPage{Status: statusBadRequest, Close: true}
	if b.http != nil {
		p.Fixed = &b.http.limits.plain
	}
	return l.makeErrorPage(p)
}
