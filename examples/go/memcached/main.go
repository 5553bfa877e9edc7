// Command memcached is a cache that speaks a part of memcached's text protocol (get, set, delete, version) on the event
// loops: an idle connection has no goroutine and no buffer. Values stay until they are deleted, and their number is not bounded.
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

const lineMax, valueMax = 2048, 1 << 20 // bytes of a command without its data, and of a value

// cache is shared by the loops. It is locked for a moment only, so no loop waits for long. A value follows its flags and a space.
type cache struct {
	sync.Mutex
	values map[string][]byte
}

// Open implements backend.Protocol.
func (c *cache) Open(backend.Conn) backend.Stream { return &session{c} }

type session struct{ *cache }

func (s *session) Data(c backend.Conn)        { s.work(c) } // bytes have arrived, or the client sends no more
func (s *session) Room(c backend.Conn)        { s.work(c) } // the client has read what made the connection Full
func (s *session) Closed(backend.Conn, error) {}

// work carries out the commands that have arrived, as long as the client reads the answers.
func (s *session) work(c backend.Conn) {
	for !c.Full() {
		line, data, complete := bytes.Cut(c.Unread(), []byte("\r\n"))
		words, n := bytes.Fields(line), -1
		if complete && len(words) > 0 {
			n = s.command(c, words, data)
		}
		switch {
		case n >= 0:
			c.Discard(len(line) + 2 + n)
			continue
		case c.Ended() || len(line) > lineMax || complete && len(words) == 0:
			c.Close()
		}
		return // until the rest of the command has come
	}
}

// command carries out one command. It returns how many bytes of data belong to it, or -1 if they are not there.
func (s *session) command(c backend.Conn, words [][]byte, data []byte) int {
	s.Lock()
	defer s.Unlock()
	switch name := string(words[0]); {
	case name == "get":
		for _, key := range words[1:] {
			if flags, value, ok := bytes.Cut(s.values[string(key)], []byte(" ")); ok {
				c.Write(fmt.Appendf(nil, "VALUE %s %s %d\r\n%s\r\n", key, flags, len(value), value))
			}
		}
		c.Write([]byte("END\r\n"))
	case name == "set" && len(words) >= 5:
		return s.set(c, words, data)
	case name == "delete" && len(words) >= 2:
		reply(c, words, map[bool]string{true: "DELETED", false: "NOT_FOUND"}[s.values[string(words[1])] != nil])
		delete(s.values, string(words[1]))
	case name == "version":
		reply(c, words, "VERSION 1.0.0")
	default:
		reply(c, words, "ERROR")
	}
	return 0
}

// set is: set KEY FLAGS SECONDS SIZE [noreply], CR LF, data, CR LF. The time is ignored.
func (s *session) set(c backend.Conn, words [][]byte, data []byte) int {
	size, err := strconv.Atoi(string(words[4]))
	switch {
	case err != nil || size < 0 || size > valueMax || len(data) >= size+2 && string(data[size:size+2]) != "\r\n":
		c.Write([]byte("CLIENT_ERROR bad data chunk\r\n"))
		c.Close() // where the next command begins is not known
		return -1
	case len(data) < size+2:
		return -1
	}
	s.values[string(words[1])] = bytes.Join([][]byte{words[2], data[:size]}, []byte(" "))
	reply(c, words, "STORED")
	return size + 2
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
	o := engine.ProtocolOptions{Bounds: backend.Bounds{Input: lineMax + valueMax + 4}}
	check(e.ServeProtocol(ln, &cache{values: make(map[string][]byte)}, o))
	log.Print("memcached: ", ln.Addr())
	select {} // a signal ends the process; hello shows an orderly shutdown
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
