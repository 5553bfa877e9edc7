package main

import (
	"bytes"
	"fmt"

	"github.com/panjf2000/gnet/v2"

	"moonbridge/benchmarks/peers/workload"
)

// server is the event handler of gnet.
type server struct {
	gnet.BuiltinEventEngine
	answer []byte
	closes bool
}

var headEnd = []byte("\r\n\r\n")

// OnTraffic answers the complete heads that have arrived. The rest stays in gnet's buffer.
func (s *server) OnTraffic(c gnet.Conn) gnet.Action {
	input, err := c.Peek(-1)
	if err != nil {
		return gnet.Close
	}
	used, heads := 0, 0
	for {
		end := bytes.Index(input[used:], headEnd)
		if end < 0 {
			break
		}
		used += end + len(headEnd)
		heads++
	}
	if heads == 0 {
		return gnet.None
	}
	c.Discard(used)
	if heads == 1 {
		_, err = c.Write(s.answer)
	} else {
		_, err = c.Write(bytes.Repeat(s.answer, heads))
	}
	if err != nil || s.closes {
		return gnet.Close
	}
	return gnet.None
}

func main() {
	address, name := workload.Args()
	answer, closes, ok := workload.Fixed(name)
	if !ok {
		workload.Fail(fmt.Errorf("unknown workload %q", name))
	}
	// The error of a signal that ends the process never arrives here.
	workload.Fail(gnet.Run(&server{answer: answer, closes: closes}, "tcp://"+address, gnet.WithMulticore(true), gnet.WithReuseAddr(true)))
}
