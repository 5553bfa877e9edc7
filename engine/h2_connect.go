package engine

import (
	"crypto/rand"
	"encoding/base64"

	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// An extended CONNECT (RFC 8441) is translated too: into the opening handshake of WebSocket in HTTP/1.1 (RFC 6455 §4.1), which backends
// and proxies know how to answer. So it is a GET with an Upgrade and a key for all of them. A 101 response becomes a 200, and with it
// the stream a tunnel: see h2_tunnel.go.
//
// A plain CONNECT (RFC 9113 §8.5) is the same request in HTTP/1.1, for backends that get such requests. With the 2xx response the stream becomes
// a tunnel.

// h2Accept is the answer to the key. It is checked here, since the client has no key.
const h2Accept = "sec-websocket-accept"

// beginConnect checks the pseudo-headers of an extended CONNECT. The request becomes a GET.
func (b *h2Block) beginConnect() bool {
	if b.method != "CONNECT" || b.seen != h2SeenRequest|h2SeenProtocol || b.scheme == "" || b.authority == "" || b.path == "" ||
		b.path[0] != '/' || !httpparse.IsToken(b.protocol) {
		return false
	}
	b.connects, b.extended, b.method = true, true, "GET"
	var raw [16]byte
	rand.Read(raw[:])
	base64.StdEncoding.Encode(b.key[:], raw[:])
	return true
}

// appendUpgrade appends the fields that make an opening handshake of the request.
func (b *h2Block) appendUpgrade() {
	b.text = append(append(b.text, "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: "...), b.key[:]...)
	b.text = append(b.text, "\r\n"...)
}

// connects makes st the stream of a CONNECT. There is one protocol of extended ones that is known.
func (st *h2Stream) connects(b *h2Block) {
	st.extended = b.extended
	if !b.extended {
		return
	}
	if !httpparse.EqualFold(b.protocol, "websocket") {
		st.unknown = true
		return
	}
	accept := httpwrite.WebSocketAccept(b.key[:])
	st.accept = &accept
}

// mayPass reports whether the client gets a response head to its CONNECT. One to a plain CONNECT means the same here as in HTTP/1.1, apart from a
// 101, which does not exist. To an extended one it is another: to a client a 2xx means that the tunnel is open. A
// response that does not say so in the way of HTTP/1.1 must not be taken for that.
func (st *h2Stream) mayPass(r *httpparse.Response) bool {
	switch {
	case r.Status == 101 && !st.extended:
		st.putRefusal(statusBadGateway)
		return false
	case r.Status == 101:
		i := r.Find(h2Accept, 0)
		if st.accept == nil || i < 0 || string(r.Value(r.Fields[i])) != string(st.accept[:]) {
			st.putRefusal(statusBadGateway)
			return false
		}
		st.accept = nil
	case r.Status/100 == 2 && st.extended:
		st.putRefusal(statusNotImplemented)
		return false
	}
	return true
}

// putRefusal sends a response without content in place of the one that was to be sent, and ends the stream.
func (st *h2Stream) putRefusal(status int) {
	m := st.s.l
	st.s.beginFields()
	m.encodeStatus(status)
	st.s.putFields(st.id, m.encoded.Bytes(), true)
	if !st.inEnded {
		st.s.putReset(st.id, h2NoError)
	}
	st.torn, st.gone = true, true
}
