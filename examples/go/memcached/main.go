// Command memcached implements a part of memcached's text protocol: get, set, delete and version, with one key at a time
// and without noreply. It is not for production: values stay until they are deleted, nothing limits their number,
// and a client may take as long as it likes over a command, byte by byte.
//
//	go run ./examples/go/memcached
//	printf 'set a 0 0 2\r\nhi\r\nget a\r\n' | nc -q 1 127.0.0.1 11211
package main

import (
	"bytes"
	"flag"
	"fmt"
	"log"
	"strconv"
	"strings"
	"sync"
	"time"

	"moonbridge/engine"
	"moonbridge/handler/backend"
)

// cache is shared by all connections.
type cache struct {
	mu      sync.Mutex        // several event loops call command at the same time
	replies map[string]string // from a key to what get answers, such as "VALUE a 0 2\r\nhi\r\n"
}

// command carries out the command that input begins with, and returns its length. If the command is incomplete, it returns
// 0, and is called again when more has arrived. It runs on an event loop, and must not block (see example hello).
//
// It must not keep or change input. Write does not block: it keeps what the client does not take yet. Close sends that
// first, and command is not called any more.
func (m *cache) command(c backend.Conn, input []byte) int {
	line, _, complete := bytes.Cut(input, []byte("\r\n"))
	if !complete {
		return 0
	}
	length := len(line) + len("\r\n")
	words := strings.Fields(string(line))
	answer := "ERROR"
	m.mu.Lock() // only for moments, so it is permitted on a loop
	defer m.mu.Unlock()
	switch {
	case len(words) == 2 && words[0] == "get":
		answer = m.replies[words[1]] + "END"
	case len(words) == 2 && words[0] == "delete":
		answer = "NOT_FOUND"
		if _, found := m.replies[words[1]]; found {
			answer = "DELETED"
		}
		delete(m.replies, words[1])
	case len(words) == 5 && words[0] == "set":
		size := 0
		answer, size = m.set(words, input[length:])
		length += size
	case len(words) == 1 && words[0] == "version":
		answer = "VERSION 1.0.0"
	}
	if answer == "" {
		return 0
	}
	c.Write([]byte(answer + "\r\n"))
	if answer == "ERROR" {
		c.Close() // what follows may be a value, and must not be taken for commands
	}
	return length
}

// set carries out "set KEY FLAGS SECONDS LENGTH" with the value that rest begins with, and returns the size of the value with
// its line end. If the value is incomplete, answer is empty.
func (m *cache) set(words []string, rest []byte) (answer string, size int) {
	length, err := strconv.ParseUint(words[4], 10, 16) // 16 bits: a value has less than 64 KiB
	if err != nil {
		return "ERROR", 0
	}
	size = int(length) + len("\r\n")
	if size > len(rest) {
		return "", 0
	}
	value := string(rest[:size])
	if !strings.HasSuffix(value, "\r\n") {
		return "ERROR", 0
	}
	m.replies[words[1]] = fmt.Sprintf("VALUE %s %s %s\r\n%s", words[1], words[2], words[4], value)
	return "STORED", size
}

func main() {
	address := flag.String("address", "127.0.0.1:11211", "where to listen")
	flag.Parse()
	e, err := engine.New(engine.Options{})
	check(err)
	ln, err := e.Open("tcp", *address, engine.OpenOptions{})
	check(err)
	m := &cache{replies: map[string]string{}}
	// EachMessage calls m.command for each command. It pauses while the client does not read answers, so that they do not pile
	// up. A connection is closed if a command is longer than Input (64 KiB for a value, 4 KiB for its line), or if no byte
	// moves for 10 minutes.
	options := engine.ProtocolOptions{Bounds: backend.Bounds{Input: 68 << 10, Idle: 10 * time.Minute}}
	check(e.ServeProtocol(ln, backend.EachMessage(m.command), options))
	log.Print("memcached: ", ln.Addr())
	// As in example hello. Idle connections close at once; commands that have begun have 10 seconds to complete.
	check(e.ShutdownOnSignal(10 * time.Second))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
