package reactortest

import (
	"net"
	"testing"
)

// A server may listen there, also a second time, and nobody is given the port meanwhile.
func TestFreePort(t *testing.T) {
	address := FreePort(t)
	for range 2 {
		if c, err := net.Dial("tcp4", address); err == nil {
			c.Close()
			t.Error("somebody listens")
		}
		ln, err := net.Listen("tcp4", address)
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp4", address)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		ln.Close()
	}
	if other := FreePort(t); other == address {
		t.Errorf("%s twice", address)
	}
}
