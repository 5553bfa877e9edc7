package engine

import (
	"crypto/tls"
	"net"
	"testing"
	"time"
)

// A peer that ends its connection within a record is gone, even if the loop hears of the record and of the end at once.
func TestTLSEndsWithinRecord(t *testing.T) {
	for _, protocol := range []string{"http/1.1", "h2"} {
		config := serverConfig()
		config.NextProtos = []string{protocol}
		e, addr := startTLS(t, Options{Loops: 1}, Limits{IdleTimeout: time.Hour}, &testBackend{}, &TLS{Config: config})
		client := clientConfig()
		client.NextProtos = []string{protocol}
		c, err := tls.Dial("tcp", addr, client)
		if err != nil {
			t.Fatal(err)
		}
		if protocol == "h2" {
			greetH2(t, c)
		}
		eventually(t, "the connection is there", func() bool { return e.Stats()[0].Handshakes == 1 })
		release := make(chan struct{})
		e.Loop(0).Post(func() { <-release })
		tcp := c.NetConn().(*net.TCPConn)
		tcp.Write([]byte{23, 3, 3, 0x10, 0, 1, 2, 3})
		tcp.CloseWrite()
		close(release)
		eventually(t, "the connection is gone", func() bool { return e.Conns() == 0 })
		c.Close()
	}
}
