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

const lineMax, valueMax, inputMax = 2048, 1 << 20, 2048 + 1<<20 + 4 // bytes of a command line, of a value, and of both with two CR LF

// cache is a backend.Protocol: the engine calls Open for each connection. All loops share the map, whose values are what get answers.
type cache struct{ texts sync.Map }

func (c *cache) Open(backend.Conn) backend.Stream { return &session{cache: c} }

// session is one connection. The engine calls its methods on the loop of the connection, one at a time; they must not block.
type session struct {
	*cache
	sent int // of the get command that is being answered: how many of its keys are done
}

func (s *session) Room(c backend.Conn)        { s.Data(c) } // c was Full, and the client has read enough
func (s *session) Closed(backend.Conn, error) {}

// Data is called when bytes have arrived, or the client sends no more. It carries out commands, unless too much waits for the client: then
// Full is true, and Room follows. Full is also true after Close, so no command follows one that has closed the connection.
func (s *session) Data(c backend.Conn) {
	for !c.Full() {
		line, data, complete := bytes.Cut(c.Unread(), []byte("\r\n"))
		words, used := bytes.Fields(line), -1
		if len(line) > lineMax || complete && len(words) == 0 {
			c.Close() // that is no command
		} else if complete {
			used = s.command(c, words, data)
		}
		if used < 0 {
			break
		}
		c.Discard(len(line) + 2 + used) // 2: CR LF. The rest stays in Unread
	}
	if c.Ended() && !c.Full() {
		c.Close() // the client sends no more, and has its answers
	}
}

// command carries out a command. It returns how many bytes of data, which follows the line, belong to it; -1 if it is not complete yet.
func (s *session) command(c backend.Conn, words [][]byte, data []byte) int {
	switch name := string(words[0]); {
	case name == "get":
		for ; s.sent < len(words)-1; s.sent++ {
			if c.Full() {
				return -1 // goes on with the next key when there is room
			}
			if text, ok := s.texts.Load(string(words[1+s.sent])); ok {
				c.Write(text.([]byte))
			}
		}
		s.sent = 0
		c.Write([]byte("END\r\n"))
	case name == "set" && len(words) >= 5:
		return s.set(c, words, data)
	case name == "delete" && len(words) >= 2:
		_, found := s.texts.LoadAndDelete(string(words[1]))
		reply(c, words, map[bool]string{true: "DELETED", false: "NOT_FOUND"}[found])
	case name == "version":
		reply(c, words, "VERSION 1.0.0")
	default:
		reply(c, words, "ERROR")
	}
	return 0
}

// set carries out: set KEY FLAGS SECONDS SIZE [noreply] CR LF value CR LF. FLAGS is a number that get returns. SECONDS is ignored.
func (s *session) set(c backend.Conn, words [][]byte, data []byte) int {
	size, err := strconv.Atoi(string(words[4]))
	if err != nil || size < 0 || size > valueMax || len(data) >= size+2 && string(data[size:size+2]) != "\r\n" {
		c.Write([]byte("CLIENT_ERROR bad data chunk\r\n"))
		c.Close() // it is not known where the next command begins
	} else if len(data) >= size+2 { // with the second CR LF. What is stored are copies, since words and data are views of Unread
		s.texts.Store(string(words[1]), fmt.Appendf(nil, "VALUE %s %s %d\r\n%s", words[1], words[2], size, data[:size+2]))
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
	check(e.ServeProtocol(ln, new(cache), engine.ProtocolOptions{Bounds: backend.Bounds{Input: inputMax}}))
	log.Print("memcached: ", ln.Addr())
	select {} // until a signal ends the process
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
