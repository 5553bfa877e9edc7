// Command memcached is a cache that speaks a part of memcached's text protocol (get, set, delete, version). It runs on the engine's
// event loops: an idle connection has no goroutine and no buffer. Values stay until they are deleted, and their number is not bounded.
//
//	go run ./examples/go/memcached    # then: memcping --servers=127.0.0.1:11211 (no output: it works)
package main

import (
	"bytes"
	"flag"
	"fmt"
	"log"
	"strconv"
	"sync"

	"moonbridge/engine"
	"moonbridge/handler/backend"
)

const lineMax, valueMax = 2048, 1 << 20 // bytes of a command line, and of a value

type item struct{ flags, value string } // flags: a number that the client gets back with the value
// cache is shared by all loops. It is locked for a moment only, since a loop that waits holds up all of its connections.
type cache struct {
	sync.Mutex
	items map[string]*item
}

func (c *cache) Open(backend.Conn) backend.Stream { return &session{c} }

// session is one connection. The engine calls its methods on the loop of the connection, one at a time; they must not block.
type session struct{ *cache }

func (s *session) Data(c backend.Conn)        { s.work(c) } // bytes have arrived, or the client sends no more
func (s *session) Room(c backend.Conn)        { s.work(c) } // the connection was Full, and the client has read enough
func (s *session) Closed(backend.Conn, error) {}

// work carries out the commands that have arrived, unless too many answers wait for the client. Unread keeps what is not discarded.
func (s *session) work(c backend.Conn) {
	for !c.Full() {
		line, data, complete := bytes.Cut(c.Unread(), []byte("\r\n"))
		words, used := bytes.Fields(line), -1
		if complete && len(words) > 0 {
			used = s.command(c, words, data)
		}
		if used < 0 { // the rest of the command is still to come, unless one of these is true
			if c.Ended() || len(line) > lineMax || complete && len(words) == 0 {
				c.Close()
			}
			return
		}
		c.Discard(len(line) + 2 + used) // 2: CR LF
	}
}

// command carries out a command. It returns how many bytes of data, which follows the line, belong to it; -1: some are missing.
func (s *session) command(c backend.Conn, words [][]byte, data []byte) int {
	s.Lock()
	defer s.Unlock()
	switch name := string(words[0]); {
	case name == "get":
		for _, key := range words[1:] {
			if i := s.items[string(key)]; i != nil {
				c.Write(fmt.Appendf(nil, "VALUE %s %s %d\r\n%s\r\n", key, i.flags, len(i.value), i.value))
			}
		}
		c.Write([]byte("END\r\n"))
	case name == "set" && len(words) >= 5:
		return s.set(c, words, data)
	case name == "delete" && len(words) >= 2 && s.items[string(words[1])] == nil:
		reply(c, words, "NOT_FOUND")
	case name == "delete" && len(words) >= 2:
		delete(s.items, string(words[1]))
		reply(c, words, "DELETED")
	case name == "version":
		reply(c, words, "VERSION 1.0.0")
	default:
		reply(c, words, "ERROR")
	}
	return 0
}

// set carries out: set KEY FLAGS SECONDS SIZE [noreply] CR LF value CR LF. SECONDS is ignored. size+2 counts the second CR LF.
func (s *session) set(c backend.Conn, words [][]byte, data []byte) int {
	switch size, err := strconv.Atoi(string(words[4])); {
	case err != nil || size < 0 || size > valueMax || len(data) >= size+2 && string(data[size:size+2]) != "\r\n":
		c.Write([]byte("CLIENT_ERROR bad data chunk\r\n"))
		c.Close() // it is not known where the next command begins
	case len(data) >= size+2:
		s.items[string(words[1])] = &item{string(words[2]), string(data[:size])} // copies: words and data are views of Unread
		reply(c, words, "STORED")
		return size + 2
	}
	return -1
}

// reply answers, unless the client does not want it.
func reply(c backend.Conn, words [][]byte, text string) {
	if string(words[len(words)-1]) != "noreply" {
		c.Write([]byte(text + "\r\n"))
	}
}

func main() {
	address := flag.String("address", "127.0.0.1:11211", "where to listen")
	flag.Parse()
	e, err := engine.New(engine.Options{})
	check(err)
	ln, err := e.Open("tcp", *address, engine.OpenOptions{})
	check(err)
	o := engine.ProtocolOptions{Bounds: backend.Bounds{Input: lineMax + valueMax + 4}} // the largest command, with CR LF twice
	check(e.ServeProtocol(ln, &cache{items: make(map[string]*item)}, o))
	log.Print("memcached: ", ln.Addr())
	select {} // until a signal ends the process
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
