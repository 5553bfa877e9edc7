package acmetest

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"
)

// serveNames answers questions of the domain name system, over TCP (RFC 1035 §4.2.2): every name has the address 127.0.0.1, and
// nothing else.
func serveNames(t testing.TB) (address string) {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go answerNames(conn)
		}
	}()
	return ln.Addr().String()
}

func answerNames(conn net.Conn) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	for {
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		question := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, question); err != nil {
			return
		}
		a := nameAnswer(question)
		conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...))
	}
}

// nameAnswer is the answer to a message with one question (RFC 1035 §4.1). nil: it has none.
func nameAnswer(q []byte) []byte {
	const headerLen, typeA = 12, 1
	end := headerLen
	for end < len(q) && q[end] != 0 {
		end += int(q[end]) + 1
	}
	if end+5 > len(q) {
		return nil
	}
	a := append([]byte{q[0], q[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, q[headerLen:end+5]...)
	if q[end+1] == 0 && q[end+2] == typeA {
		a[7] = 1
		a = append(a, 0xc0, headerLen, 0, typeA, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1)
	}
	return a
}
