// Command memcached is a cache that speaks a part of memcached's text protocol (get, set, delete, version) on the
// engine's event loops: an idle connection has no goroutine and no buffer. It is not for production: values stay until
// they are deleted, and any other command ends the connection.
//
//	go run ./examples/go/memcached    # then: printf 'set a 0 0 2\r\nhi\r\nget a\r\n' | nc -N 127.0.0.1 11211
package main

import (
	"bytes"
	"flag"
	"fmt"
	"log"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"moonbridge/engine"
	"moonbridge/handler/backend"
)

const (
	lineMax  = 2048      // bytes of the line that a command begins with
	valueMax = 256 << 10 // bytes of a value
	keysMax  = 16        // of one get: bounds what waits in memory for a slow client
)

// cache is a backend.Protocol: the engine calls Open for each connection, and then the methods of its session.
type cache struct {
	// key -> what get sends, e.g. "VALUE a 0 2\r\nhi\r\n". All loops share it.
	replies sync.Map
}

func (m *cache) Open(backend.Conn) backend.Stream { return session{m} }

// session is one connection. Its methods run on an event loop, and must not block (see example hello). A panic would
// end the program.
type session struct{ cache *cache }

// Data is called when bytes have arrived, or the client has finished sending.
func (s session) Data(c backend.Conn) {
	// Full: the client reads too slowly, and Room is called later, or the connection is closed.
	for !c.Full() {
		n := s.command(c, c.Unread())
		if n == 0 {
			break
		}
		c.Discard(n) // the rest will be in Unread again
	}
	if c.Ended() && !c.Full() { // no complete command is left, and no more comes
		c.Close() // after what is kept was sent
	}
}

// Room is called when the client has read enough: the connection is not Full any more.
func (s session) Room(c backend.Conn)        { s.Data(c) }
func (s session) Closed(backend.Conn, error) {}

// command carries out the command that input begins with, and returns its length, or 0 to stop: it is incomplete (Data
// is called again when there is more), or fail has closed the connection. Write never blocks.
func (s session) command(c backend.Conn, input []byte) int {
	line, _, complete := bytes.Cut(input[:min(len(input), lineMax)], []byte("\n"))
	if !complete {
		if len(input) >= lineMax {
			return fail(c, "CLIENT_ERROR line too long")
		}
		return 0
	}
	lineEnd := len(line) + len("\n")
	name, rest, _ := strings.Cut(strings.TrimRight(string(line), "\r"), " ")
	args := strings.FieldsFunc(rest, func(r rune) bool { return r == ' ' }) // keys may have other blanks
	switch {
	case name == "get" && len(args) > 0 && len(args) <= keysMax:
		for _, key := range args {
			if stored, found := s.cache.replies.Load(key); found {
				c.Write(stored.([]byte))
			}
		}
		reply(c, nil, "END")
	case name == "set" && len(args) >= 4:
		return s.set(c, args, input, lineEnd)
	case name == "delete" && len(args) > 0: // delete KEY [noreply]
		answer := "NOT_FOUND"
		if _, found := s.cache.replies.LoadAndDelete(args[0]); found {
			answer = "DELETED"
		}
		reply(c, args[1:], answer)
	case name == "version":
		reply(c, nil, "VERSION 1.0.0")
	default:
		return fail(c, "ERROR")
	}
	return lineEnd
}

// set is the command: set KEY FLAGS SECONDS LENGTH [noreply], and after the line the value and CR LF. SECONDS is
// ignored.
func (s session) set(c backend.Conn, args []string, input []byte, lineEnd int) int {
	flags, badFlags := strconv.ParseUint(args[1], 10, 32)
	length, badLength := strconv.ParseUint(args[3], 10, 32)
	if badFlags != nil || badLength != nil || length > valueMax {
		return fail(c, "CLIENT_ERROR bad data chunk")
	}
	end := lineEnd + int(length) + len("\r\n")
	if end > len(input) {
		return 0
	}
	value := input[lineEnd:end] // with its CR LF
	if !bytes.HasSuffix(value, []byte("\r\n")) {
		return fail(c, "CLIENT_ERROR bad data chunk")
	}
	s.cache.replies.Store(args[0], fmt.Appendf(nil, "VALUE %s %d %d\r\n%s", args[0], flags, length, value))
	reply(c, args[4:], "STORED")
	return end
}

// reply sends the answer to a command, unless its options say that the client wants none.
func reply(c backend.Conn, options []string, text string) {
	if !slices.Contains(options, "noreply") {
		c.Write([]byte(text + "\r\n"))
	}
}

// fail answers, and ends the connection: a value that follows a bad command would be read as commands.
func fail(c backend.Conn, text string) int {
	reply(c, nil, text)
	c.Close()
	return 0
}

func main() {
	address := flag.String("address", "127.0.0.1:11211", "where to listen")
	flag.Parse()
	e, err := engine.New(engine.Options{})
	check(err)
	ln, err := e.Open("tcp", *address, engine.OpenOptions{})
	check(err)
	// Input must hold a whole command: at that many unread bytes nothing more is read.
	bounds := backend.Bounds{Input: lineMax + valueMax + len("\r\n"), Idle: 10 * time.Minute}
	check(e.ServeProtocol(ln, new(cache), engine.ProtocolOptions{Bounds: bounds}))
	log.Print("memcached: ", ln.Addr())
	select {} // a signal ends the process; example hello shows an orderly shutdown
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
