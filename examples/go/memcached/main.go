// Command memcached is a cache that speaks a part of memcached's text protocol (get, set, delete, version). It runs on the engine's
// event loops: an idle connection has no goroutine and no buffer. It is not for production: values stay until they are deleted, so clients can
// fill the memory, and any other command ends the connection.
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

const lineMax, valueMax = 2048, 256 << 10 // bytes of the line that a command begins with, and of a value
const keysMax = 16                        // keys of one get; more are an error. It bounds what waits in memory for a slow client

// cache is a backend.Protocol: the engine calls Open for each connection, and then the methods of its session.
type cache struct{ replies sync.Map } // for each key what get sends: "VALUE key flags length", the value, and CR LF after each. All loops share it

func (m *cache) Open(backend.Conn) backend.Stream { return session{m} }

// session is one connection. Its methods run on an event loop (see example hello) and must not block. A panic would end the program, not just
// the connection.
type session struct{ cache *cache }

// Data is called when bytes have arrived, or the client has finished sending (Ended). Unread is everything that was not discarded yet.
// Write never blocks: the engine keeps a copy of what the client does not take. When that is too much, or after Close, Full is true, and this
// loop ends. The engine calls Room when the client has read enough.
func (s session) Data(c backend.Conn) {
	for !c.Full() {
		n := s.command(c, c.Unread())
		if n == 0 {
			break
		}
		c.Discard(n)
	}
	if c.Ended() && !c.Full() { // no complete command is left, and the client sends no more
		c.Close() // after what is still kept was sent
	}
}

func (s session) Room(c backend.Conn)        { s.Data(c) }
func (s session) Closed(backend.Conn, error) {}

// command carries out the command that input begins with, and returns its length. It returns 0 if there is nothing to discard: the command is
// incomplete (Data is called again when there is more), or fail has closed the connection. To add a command, add a case.
func (s session) command(c backend.Conn, input []byte) int {
	line, _, complete := bytes.Cut(input[:min(len(input), lineMax)], []byte("\n"))
	switch {
	case !complete && len(input) < lineMax:
		return 0 // the line has not arrived completely
	case !complete:
		return fail(c, "CLIENT_ERROR line too long")
	}
	n := len(line) + len("\n")
	name, rest, _ := strings.Cut(strings.TrimRight(string(line), "\r"), " ")
	args := strings.FieldsFunc(rest, func(r rune) bool { return r == ' ' }) // strings.Fields would split keys at other blanks, too
	switch {
	case name == "get" && len(args) > 0 && len(args) <= keysMax:
		for _, key := range args {
			if stored, found := s.cache.replies.Load(key); found {
				c.Write(stored.([]byte))
			}
		}
		reply(c, nil, "END")
	case name == "set" && len(args) >= 4: // set KEY FLAGS SECONDS LENGTH [noreply], and then the value, with CR LF. SECONDS is ignored
		flags, badFlags := strconv.ParseUint(args[1], 10, 32)
		length, badLength := strconv.ParseUint(args[3], 10, 32)
		if badFlags != nil || badLength != nil || length > valueMax {
			return fail(c, "CLIENT_ERROR bad data chunk")
		}
		end := n + int(length) + len("\r\n")
		if end > len(input) {
			return 0 // the value has not arrived completely
		}
		if string(input[end-2:end]) != "\r\n" {
			return fail(c, "CLIENT_ERROR bad data chunk")
		}
		// input[n:end] is the value with the CR LF after it.
		s.cache.replies.Store(args[0], fmt.Appendf(nil, "VALUE %s %d %d\r\n%s", args[0], flags, length, input[n:end]))
		n = end
		reply(c, args[4:], "STORED")
	case name == "delete" && len(args) > 0: // delete KEY [noreply]
		_, found := s.cache.replies.LoadAndDelete(args[0])
		if found {
			reply(c, args[1:], "DELETED")
		} else {
			reply(c, args[1:], "NOT_FOUND")
		}
	case name == "version":
		reply(c, nil, "VERSION 1.0.0")
	default:
		return fail(c, "ERROR")
	}
	return n
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
	// Input must hold a whole command: at that many unread bytes nothing more is read. Idle ends connections on which nothing moves.
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
