package pool

import (
	"crypto/rand"
	"encoding/hex"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/channel"
	"moonbridge/handler/shm"
	"moonbridge/handler/websocket"
)

// WebSockets are the WebSocket connections that handlers of requests have accepted. They outlive the pools that accepted them:
// each event goes to a worker of the Host that is in use at that time.
type WebSockets struct {
	host      atomic.Pointer[Host]
	endpoints [3]*websocket.Endpoint // without compression, with it, with context takeover
	blocking  [3]*websocket.Endpoint // the same, for those that workers have to themselves
	budget    *websocket.Budget      // of all of them
	number    atomic.Uint64
	waiting   atomic.Int64  // events that have found no room
	refused   atomic.Uint64 // requests whose connection did not become one
	patience  time.Duration // askTimeout

	mu    sync.Mutex
	loops []*socketLoop // by the index of the loop
}

// NewWebSockets returns an empty set. It may be shared by hosts of one engine.
func NewWebSockets() *WebSockets {
	s := &WebSockets{budget: websocket.NewBudget(socketBytesMax), patience: askTimeout}
	o := websocket.Options{MaxMessage: shm.WSMessageMax, Budget: s.budget}
	for i, c := range []*websocket.Compression{nil, {}, {Takeover: true}} {
		o.Compression, o.MaxHeld = c, 0
		s.endpoints[i] = websocket.New(o)
		o.MaxHeld = blockingHeldMax // never reached: the worker waits when a quarter of it is held
		s.blocking[i] = websocket.New(o)
	}
	return s
}

// blockingHeldMax is four times what a worker sends to a client that takes nothing before it waits. A message more fits into it.
const blockingHeldMax = 4 << 20

// socketBytesMax bounds the messages of all connections that have arrived in part, or wait for a worker.
const socketBytesMax = 256 << 20

// Use makes h the host whose workers get the events from now on. Its pools must be attached to the loops.
func (s *WebSockets) Use(h *Host) { s.host.Store(h) }

// SetDrainCode sets the code of the close frame that ends the connections when the engine drains: websocket.CodeGoingAway, which is the
// default, or websocket.CodeRestart.
func (s *WebSockets) SetDrainCode(code int) {
	for e := range s.all() {
		e.SetDrainCode(code)
	}
}

// WebSocketStats are what all connections have done.
type WebSocketStats struct {
	websocket.Stats
	Refused uint64 // requests whose connection did not become a WebSocket although the script wanted it
	Waiting int64  // events that wait for room in a pool
	Bytes   int64  // of messages that wait for a worker, or have arrived in part
}

// Stats returns what all connections have done.
func (s *WebSockets) Stats() (st WebSocketStats) {
	for e := range s.all() {
		st.Add(e.Stats())
	}
	st.Refused, st.Waiting, st.Bytes = s.refused.Load(), s.waiting.Load(), s.budget.Used()
	return st
}

// Conns is the number of open connections.
func (s *WebSockets) Conns() (n int64) {
	for e := range s.all() {
		n += e.Conns()
	}
	return n
}

func (s *WebSockets) all() iter.Seq[*websocket.Endpoint] {
	return slices.Values(append(s.endpoints[:len(s.endpoints):len(s.endpoints)], s.blocking[:]...))
}

// endpointOf is the endpoint for the flags of a shm.WSAccept.
func (s *WebSockets) endpointOf(flags uint32) *websocket.Endpoint {
	return s.endpoints[compression(flags)]
}

// blockingOf is the same for a blockingSocket.
func (s *WebSockets) blockingOf(flags uint32) *websocket.Endpoint {
	return s.blocking[compression(flags)]
}

func compression(flags uint32) int {
	switch {
	case flags&shm.WSTakeover != 0:
		return 2
	case flags&shm.WSCompress != 0:
		return 1
	}
	return 0
}

// socketLoop are the connections on one loop. Except for what is marked, only that loop touches it.
type socketLoop struct {
	s     *WebSockets
	on    backend.Loop // immutable
	hub   *channel.Loop
	conns map[string]*socketConn // by id

	waiting []waiting     // for room, by the index of the pool
	timer   backend.Timer // to try the waiting ones again; nil: is not set
	scratch []byte        // an event on its way into a cell
	batches []*batch      // not in use
}

// loopOf is the part on a loop. It is called on that loop.
func (s *WebSockets) loopOf(on backend.Loop, hub *channel.Hub) *socketLoop {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := on.Index()
	for len(s.loops) <= i {
		s.loops = append(s.loops, nil)
	}
	if s.loops[i] == nil {
		s.loops[i] = &socketLoop{s: s, on: on, hub: hub.On(on), conns: make(map[string]*socketConn)}
	}
	return s.loops[i]
}

// newID makes the id of a connection on a loop: no client can guess it.
func (s *WebSockets) newID(loop int) string {
	var random [8]byte
	rand.Read(random[:])
	return strconv.Itoa(loop) + "-" + strconv.FormatUint(s.number.Add(1), 36) + "-" + hex.EncodeToString(random[:])
}

// with calls do on the loop of the connection with this id, and waits for it. false: there is no such connection, and do is not called.
func (s *WebSockets) with(id string, do func(c *socketConn)) bool {
	first, _, _ := strings.Cut(id, "-")
	i, err := strconv.Atoi(first)
	s.mu.Lock()
	var l *socketLoop
	if err == nil && i >= 0 && i < len(s.loops) {
		l = s.loops[i]
	}
	s.mu.Unlock()
	if l == nil {
		return false
	}
	found := make(chan bool, 1)
	var claimed atomic.Bool // by the loop, or by this goroutine, which waits no longer
	l.on.Post(func() {
		if claimed.Swap(true) {
			return
		}
		c := l.conns[id]
		if c != nil {
			do(c)
		}
		found <- c != nil
	})
	late := time.NewTimer(s.patience)
	defer late.Stop()
	select {
	case ok := <-found:
		return ok
	case <-late.C: // the loop has ended, or does not get to it
		return claimed.Swap(true) && <-found
	}
}

// askTimeout is less than what a worker waits for an answer.
const askTimeout = time.Second

// Send sends a message to the connection with this id. It reports whether there is one. Any goroutine but a loop may call it.
func (s *WebSockets) Send(id string, kind websocket.Kind, data []byte) (open bool, err error) {
	open = s.with(id, func(c *socketConn) { err = c.conn.Send(kind, data) })
	return open, err
}

// Close closes the connection with this id. It reports whether there is one.
func (s *WebSockets) Close(id string, code int, reason string) bool {
	return s.with(id, func(c *socketConn) { c.conn.Close(code, reason) })
}

// answerSocket answers a question of a worker about a WebSocket.
func (h *Host) answerSocket(dst []byte, typ uint32, a *shm.Ask) ([]byte, error) {
	open, err := false, error(nil)
	if typ == shm.AskWSSend {
		kind := websocket.Text
		if a.Max == shm.WSSendBinary {
			kind = websocket.Binary
		}
		open, err = h.cfg.WebSockets.Send(string(a.Name), kind, a.Data)
		if err == websocket.ErrClosed {
			open, err = false, nil
		}
	} else {
		open = h.cfg.WebSockets.Close(string(a.Name), a.Max, string(a.Data))
	}
	n := uint64(0)
	if open {
		n = 1
	}
	return shm.AppendNumber(dst, n), err
}
