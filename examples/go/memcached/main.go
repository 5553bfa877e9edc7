// Command memcached is a cache that speaks a part of memcached's text protocol (get, set, delete, version). It runs on the engine's
// event loops: an idle connection has no goroutine and no buffer. Values stay until they are deleted, and their number is not bounded.
//
//	go run ./examples/go/memcached    # then: memcping --servers=127.0.0.1:11211 (no output: it works)
//
// This file has the connections and what commands do. command.go takes commands from the bytes that have arrived.
package main

import (
	"flag"
	"fmt"
	"log"
	"slices"
	"sync"
	"time"

	"moonbridge/engine"
	"moonbridge/handler/backend"
)

// keysMax bounds a get, because its answer is in memory until the client has taken it: 4 MiB at most.
const keysMax = 16

// cache is a backend.Protocol: the engine calls Open for each connection. All loops share the map, which has the answer to get for each key.
type cache struct{ answers sync.Map }

func (s *cache) Open(backend.Conn) backend.Stream { return session{s} }

// session is one connection. The engine calls its methods on the loop of the connection, one at a time; they must not block.
type session struct{ cache *cache }

// Data is called when bytes have arrived, or the client sends no more. It carries out the commands that are complete. While too much
// waits for the client, Full is true, and its further commands wait in Unread, or in its socket. Full is also true after Close, so nothing
// further is carried out.
func (s session) Data(c backend.Conn) {
	for !c.Full() {
		cmd, complete, err := parse(c.Unread())
		if err != nil {
			send(c, "CLIENT_ERROR "+err.Error())
			c.Close() // it is not known where the next command begins
			return
		}
		if !complete {
			break // Unread will have it again, with more after it
		}
		s.carryOut(c, cmd)
		c.Discard(cmd.size)
	}
	if c.Ended() && !c.Full() {
		c.Close() // after what is still held was sent: the client sends no more
	}
}

// Room is called when c was Full, and the client has read enough.
func (s session) Room(c backend.Conn) { s.Data(c) }

func (s session) Closed(backend.Conn, error) {}

func (s session) carryOut(c backend.Conn, cmd command) {
	args := cmd.args
	switch {
	case cmd.name == "get" && len(args) > keysMax:
		send(c, "CLIENT_ERROR too many keys")
	case cmd.name == "get" && len(args) > 0:
		for _, key := range args {
			if answer, found := s.cache.answers.Load(key); found {
				c.Write(answer.([]byte))
			}
		}
		send(c, "END")
	case cmd.name == "set" && len(args) >= 4:
		key, flags := args[0], args[1] // args[2], the time after which the value expires, is ignored
		s.cache.answers.Store(key, fmt.Appendf(nil, "VALUE %s %s %d\r\n%s\r\n", key, flags, len(cmd.value), cmd.value))
		reply(c, args[4:], "STORED")
	case cmd.name == "delete" && len(args) > 0:
		if _, found := s.cache.answers.LoadAndDelete(args[0]); found {
			reply(c, args[1:], "DELETED")
		} else {
			reply(c, args[1:], "NOT_FOUND")
		}
	case cmd.name == "version":
		send(c, "VERSION 1.0.0")
	default:
		send(c, "ERROR")
	}
}

// reply sends the answer to a command, unless its options say that the client wants none.
func reply(c backend.Conn, options []string, text string) {
	if !slices.Contains(options, "noreply") {
		send(c, text)
	}
}

func send(c backend.Conn, line string) { c.Write([]byte(line + "\r\n")) }

func main() {
	address := flag.String("address", "127.0.0.1:11211", "where to listen")
	flag.Parse()
	e, err := engine.New(engine.Options{})
	check(err)
	ln, err := e.Open("tcp", *address, engine.OpenOptions{})
	check(err)
	// Input must hold a whole command: at that many unread bytes nothing more is read. Idle ends connections on which nothing moves.
	bounds := backend.Bounds{Input: inputMax, Idle: 10 * time.Minute}
	check(e.ServeProtocol(ln, new(cache), engine.ProtocolOptions{Bounds: bounds}))
	log.Print("memcached: ", ln.Addr())
	select {} // until a signal ends the process
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
