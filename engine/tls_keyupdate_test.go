package engine

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// keyChanger speaks TLS 1.3 and writes its own records after the handshake, as crypto/tls has no call that asks for a new key.
type keyChanger struct {
	net.Conn
	tls    *tls.Conn
	secret []byte // of the records that it sends
	seq    uint64
}

// secrets takes the client's secret from the lines of a key log.
type secrets struct{ client []byte }

func (s *secrets) Write(line []byte) (int, error) {
	if f := strings.Fields(string(line)); f[0] == "CLIENT_TRAFFIC_SECRET_0" {
		s.client, _ = hex.DecodeString(f[2])
	}
	return len(line), nil
}

func newKeyChanger(t *testing.T, raw net.Conn) *keyChanger {
	t.Helper()
	var log secrets
	config := clientConfig()
	config.MinVersion, config.KeyLogWriter = tls.VersionTLS13, &log
	c := tls.Client(raw, config)
	c.SetDeadline(time.Now().Add(waitMost))
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	if suite := c.ConnectionState().CipherSuite; suite != tls.TLS_AES_128_GCM_SHA256 {
		t.Skipf("cipher suite %s: the test knows TLS_AES_128_GCM_SHA256 only", tls.CipherSuiteName(suite))
	}
	return &keyChanger{Conn: raw, tls: c, secret: log.client}
}

// expand is HKDF-Expand-Label (RFC 8446 §7.1) without a context.
func expand(secret []byte, label string, n int) []byte {
	label = "tls13 " + label
	info := append(binary.BigEndian.AppendUint16(nil, uint16(n)), byte(len(label)))
	out, err := hkdf.Expand(sha256.New, secret, string(append(append(info, label...), 0)), n)
	if err != nil {
		panic(err)
	}
	return out
}

// record returns an encrypted record (RFC 8446 §5.2).
func (k *keyChanger) record(kind byte, content string) []byte {
	block, _ := aes.NewCipher(expand(k.secret, "key", 16))
	aead, _ := cipher.NewGCM(block)
	nonce := expand(k.secret, "iv", 12)
	for i, b := range binary.BigEndian.AppendUint64(nil, k.seq) {
		nonce[4+i] ^= b
	}
	k.seq++
	inner := append([]byte(content), kind)
	head := append([]byte{23, 3, 3}, binary.BigEndian.AppendUint16(nil, uint16(len(inner)+aead.Overhead()))...)
	return aead.Seal(head, nonce, inner, head)
}

const (
	handshakeKind, dataKind = 22, 23

	keepsKey, asksForKey = "\x18\x00\x00\x01\x00", "\x18\x00\x00\x01\x01"
)

// newKey returns a record that changes the client's key.
func (k *keyChanger) newKey(message string) []byte {
	r := k.record(handshakeKind, message)
	k.secret, k.seq = expand(k.secret, "traffic upd", 32), 0
	return r
}

// dialKeyChanger returns a client, and its connection, which ends with the test.
func dialKeyChanger(t *testing.T, addr string) (*keyChanger, net.Conn) {
	t.Helper()
	raw, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	return newKeyChanger(t, raw), raw
}

// A client may change its key, and ask for that of the server to be changed, within a request too.
func TestTLSKeyUpdate(t *testing.T) {
	_, addr := startTLS(t, Options{Loops: 1}, Limits{}, &testBackend{window: 64}, &TLS{Config: serverConfig()})
	k, _ := dialKeyChanger(t, addr)
	p := &peer{t, k.tls, bufio.NewReader(k.tls)}
	for range 20 {
		for _, part := range []string{"POST /echo HTTP/1.1\r\nHost: h\r\n", "Content-Length: 4\r\n\r\nne", "ws"} {
			k.Conn.Write(k.newKey(keepsKey))
			asks := k.newKey(asksForKey)
			k.Conn.Write(asks[:7]) // a record in two pieces
			k.Conn.Write(asks[7:])
			k.Conn.Write(k.record(dataKind, part))
		}
		if got := p.hears(200); got != "news" {
			t.Fatalf("body %q", got)
		}
	}
}

// A peer that goes on asking for new keys and reads nothing is cut off, instead of the answers being kept.
func TestTLSKeyUpdateFlood(t *testing.T) {
	e, addr := startTLS(t, Options{Loops: 1}, Limits{}, &testBackend{window: 64}, &TLS{Config: serverConfig()})
	k := newKeyChanger(t, smallBuffers(t, addr))
	k.Conn.SetDeadline(time.Now().Add(waitMost))
	handshaken(t, e)
	onLoop(t, e.Loop(0), func() {
		for _, c := range e.loops[0].tls.conns {
			if c != nil {
				syscall.SetsockoptInt(c.fd, syscall.SOL_SOCKET, syscall.SO_SNDBUF, 4<<10)
			}
		}
		e.loops[0].tls.barrenMost = headBytesDefault // another limit is tested here
	})
	k.Conn.Write(k.record(dataKind, "GET /hello HTTP/1.1\r\nName: "))
	sent := 0
	for ; sent < headBytesDefault/2; sent++ {
		// The byte of data keeps crypto/tls from counting the messages as useless.
		if _, err := k.Conn.Write(append(k.newKey(asksForKey), k.record(dataKind, "x")...)); err != nil {
			break
		}
	}
	if sent == headBytesDefault/2 {
		t.Errorf("%d answers were taken or kept", sent)
	}
	t.Log(sent)
	await(t, "the connection ends", func() bool { return e.Conns() == 0 })
}

// However much a peer sends that is no data, a loop decrypts little of it in a turn, and takes the rest in later ones.
func TestTLSKeyUpdatesShareTheLoop(t *testing.T) {
	e, addr := startTLS(t, Options{Loops: 1}, Limits{}, &testBackend{window: 64}, &TLS{Config: serverConfig()})
	k, raw := dialKeyChanger(t, addr)
	sent := k.record(dataKind, "GET /hello HTTP/1.1\r\nHost: h\r\nName: ")
	for len(sent) < 20*surplusMax {
		sent = append(append(sent, k.newKey(keepsKey)...), k.record(dataKind, "x")...)
	}
	sent = append(sent, k.record(dataKind, "\r\n\r\n")...)
	taken, most := 0, 0
	handshaken(t, e)
	onLoop(t, e.Loop(0), func() {
		e.loops[0].tls.barrenMost = len(sent) // another limit is tested here
		plain, secure := &e.loops[0].sys, &e.loops[0].tls.twin.sys
		read, decrypt := plain.read, secure.read
		woken := false
		plain.read = func(fd int, p []byte) (int, syscall.Errno) {
			if !woken {
				woken = true
				read(fd, p[:1])
			}
			if n := copy(p, sent); n > 0 { // it comes as fast as it is read
				sent = sent[n:]
				taken += n
				return n, 0
			}
			return read(fd, p)
		}
		secure.read = func(fd int, p []byte) (int, syscall.Errno) {
			taken = 0
			n, errno := decrypt(fd, p)
			most = max(most, taken-n)
			return n, errno
		}
	})
	raw.Write([]byte{0}) // wakes the loop
	p := &peer{t, k.tls, bufio.NewReader(k.tls)}
	p.hears(200)
	onLoop(t, e.Loop(0), func() {
		if len(sent) > 0 || most == 0 || most > surplusMax+recordBytes {
			t.Errorf("%d bytes are left; %d were taken at once for nothing", len(sent), most)
		}
	})
}

// Too many messages that bring nothing end the connection: crypto/tls sees to that.
func TestTLSUselessMessages(t *testing.T) {
	e, addr := startTLS(t, Options{Loops: 1}, Limits{}, &testBackend{window: 64}, &TLS{Config: serverConfig()})
	k, raw := dialKeyChanger(t, addr)
	for range 100 {
		raw.Write(k.newKey(keepsKey))
	}
	io.Copy(io.Discard, raw)
	await(t, "the connection ends", func() bool { return e.Conns() == 0 })
}
