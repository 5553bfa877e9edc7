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
	mu      sync.Mutex        // command runs on several event loops at the same time
	replies map[string]string // from a key to what get answers, such as "VALUE a 0 2\r\nhi\r\n"
}

// command carries out the command at the start of input, and returns its length. If the command is incomplete, it returns 0,
// and is called again when more has arrived. It runs on an event loop, and must not block (see example hello). It must not
// keep or change input.
func (m *cache) command(c backend.Conn, input []byte) int {
	answer, length := m.carryOut(input)
	if length == 0 {
		return 0
	}
	c.Write([]byte(answer + "\r\n")) // never blocks: it buffers what the client does not take yet
	if answer == "ERROR" {
		// After a set that is refused, its value would be read as commands.
		c.Close() // sends what is buffered; command is no longer called
	}
	return length
}

// carryOut returns the answer to the command at the start of input, and its length: 0 if it is incomplete.
func (m *cache) carryOut(input []byte) (answer string, length int) {
	line, _, complete := bytes.Cut(input, []byte("\r\n"))
	if !complete {
		return "", 0
	}
	start := len(line) + len("\r\n") // of what follows the line
	words := strings.Fields(string(line))
	m.mu.Lock() // only briefly, so it is permitted on a loop
	defer m.mu.Unlock()
	switch {
	case len(words) == 2 && words[0] == "get":
		return m.replies[words[1]] + "END", start
	case len(words) == 2 && words[0] == "delete":
		if _, found := m.replies[words[1]]; !found {
			return "NOT_FOUND", start
		}
		delete(m.replies, words[1])
		return "DELETED", start
	case len(words) == 5 && words[0] == "set": // set KEY FLAGS SECONDS SIZE. FLAGS is not checked, and SECONDS has no effect.
		size, err := strconv.ParseUint(words[4], 10, 16) // 16 bits: a value has less than 64 KiB
		if err != nil {
			return "ERROR", start
		}
		end := start + int(size) + len("\r\n")
		if end > len(input) {
			return "", 0
		}
		value := string(input[start:end])
		if !strings.HasSuffix(value, "\r\n") {
			return "ERROR", end
		}
		m.replies[words[1]] = fmt.Sprintf("VALUE %s %s %s\r\n%s", words[1], words[2], words[4], value)
		return "STORED", end
	case len(words) == 1 && words[0] == "version":
		return "VERSION 1.0.0", start
	}
	return "ERROR", start
}

func main() {
	address := flag.String("address", "127.0.0.1:11211", "where to listen")
	flag.Parse()
	e, err := engine.New(engine.Options{})
	check(err)
	ln, err := e.Open("tcp", *address, engine.OpenOptions{})
	check(err)
	m := &cache{replies: map[string]string{}}
	// EachMessage calls m.command for each command of every connection. It pauses while the client does not read answers, so that they do not pile
	// up. It closes connections on which a command is longer than Input (64 KiB for a value, 4 KiB for its line). The engine
	// closes those that are idle for 10 minutes.
	options := engine.ProtocolOptions{Bounds: backend.Bounds{Input: 68 << 10, Idle: 10 * time.Minute}}
	check(e.ServeProtocol(ln, backend.EachMessage(m.command), options))
	log.Print("memcached: ", ln.Addr())
	// As in example hello. Idle connections close at once; commands that have arrived in part have 10 seconds to arrive in full.
	check(e.ShutdownOnSignal(10 * time.Second))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
