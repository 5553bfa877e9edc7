package bufio_test

import (
	"bytes"
	"fmt"
	"strings"

	"moonbridge/bufio"
)

// One turn of a connection on which lines arrive.
func ExampleInput() {
	pool := bufio.NewPool() // one for each event loop
	var in bufio.Input      // one for each connection
	turn := func(received string) {
		room := in.Reserve(pool, 1)
		in.Commit(copy(room, received)) // in place of a read from the socket
		for {
			line, _, whole := bytes.Cut(in.Unread(), []byte("\n"))
			if !whole {
				break
			}
			fmt.Printf("%q\n", line)
			in.Discard(len(line) + 1)
		}
		in.Settle(pool) // the incomplete line is kept, and the read buffer is free for other connections
	}
	turn("one\ntwo\nthr")
	fmt.Println(in.Len(), "bytes kept in", pool.InUse(), "buffer")
	turn("ee\n")
	fmt.Println(in.Len(), "bytes kept in", pool.InUse(), "buffers")
	// Output:
	// "one"
	// "two"
	// 3 bytes kept in 1 buffer
	// "three"
	// 0 bytes kept in 0 buffers
}

// Bytes that the kernel does not take at once wait in an Output.
func ExampleOutput() {
	pool := bufio.NewPool()
	var out bufio.Output
	out.Append(pool, []byte("Hello, "))
	out.Append(pool, []byte("world!\n"))

	var sent strings.Builder
	for out.Len() > 0 {
		unsent := out.Unsent()
		n, _ := sent.Write(unsent[:min(5, len(unsent))]) // in place of a socket that takes 5 bytes at a time
		out.Discard(pool, n)
	}
	fmt.Print(sent.String())
	fmt.Println(pool.InUse(), "buffers in use")
	// Output:
	// Hello, world!
	// 0 buffers in use
}
