// Command memcached is a cache that speaks a part of memcached's text protocol: get, set, delete and version, with one key
// at a time and without noreply. Values stay until they are deleted.
//
//	go run ./examples/go/memcached    # then: printf 'set a 0 0 2\r\nhi\r\nget a\r\n' | nc -N 127.0.0.1 11211
package main

import (
	"bytes"
	"flag"
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
	mu     sync.Mutex        // several event loops call command at the same time
	values map[string]string // what get answers, by key: "VALUE a 0 2\r\nhi\r\n", for example
}

// command carries out the command that input begins with, and returns its length. If it is incomplete, it returns 0, and
// is called again when more has arrived. It runs on an event loop, and must not block (see example hello). Write does not.
func (m *cache) command(c backend.Conn, input []byte) int {
	line, rest, complete := bytes.Cut(input, []byte("\n"))
	if !complete {
		return 0
	}
	length := len(line) + len("\n")
	words := strings.FieldsFunc(string(line), func(r rune) bool { return r == ' ' || r == '\r' }) // it ends with CR LF
	answer := "ERROR"
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case len(words) == 2 && words[0] == "get":
		answer = m.values[words[1]] + "END"
	case len(words) == 2 && words[0] == "delete":
		answer = "NOT_FOUND"
		if _, found := m.values[words[1]]; found {
			answer = "DELETED"
		}
		delete(m.values, words[1])
	case len(words) == 5 && words[0] == "set": // set KEY FLAGS SECONDS LENGTH, and on the next line the value
		size, err := strconv.ParseUint(words[4], 10, 16) // 16 bits: a value has less than 64 KiB
		if err != nil {
			break
		}
		length += int(size) + len("\r\n")
		if length > len(input) {
			return 0
		}
		m.values[words[1]] = "VALUE " + words[1] + " " + words[2] + " " + words[4] + "\r\n" + string(rest[:size]) + "\r\n"
		answer = "STORED"
	case len(words) == 1 && words[0] == "version":
		answer = "VERSION 1.0.0"
	}
	c.Write([]byte(answer + "\r\n"))
	if answer == "ERROR" {
		c.Close() // what follows may be a value, and must not be taken for commands
	}
	return length
}

func main() {
	address := flag.String("address", "127.0.0.1:11211", "where to listen")
	flag.Parse()
	e, err := engine.New(engine.Options{})
	check(err)
	ln, err := e.Open("tcp", *address, engine.OpenOptions{})
	check(err)
	m := &cache{values: map[string]string{}}
	// EachMessage calls m.command for each command of a client, and waits while the client does not read the answers. A
	// connection ends if a command is longer than Input (64 KiB for a value, 4 for its line), or if Idle passes without a byte.
	options := engine.ProtocolOptions{Bounds: backend.Bounds{Input: 68 << 10, Idle: 10 * time.Minute}}
	check(e.ServeProtocol(ln, backend.EachMessage(m.command), options))
	log.Print("memcached: ", ln.Addr())
	// It serves until SIGINT (Ctrl-C) or SIGTERM. Then commands that have begun have 10 seconds to complete.
	check(e.ShutdownOnSignal(10 * time.Second))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
