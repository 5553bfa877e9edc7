package pool

import (
	"io"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/backend"
	"moonbridge/handler/channel"
	"moonbridge/handler/shm"
)

// Stream takes another Running.
func (q *request) Stream(r backend.Running) {
	q.use()
	q.r = r
}

// Pending says that the peer has taken everything.
func (q *request) Pending() int64 { return 0 }

// poll is what a worker publishes to have a request wait for a channel.
func poll(names string) []byte {
	b := shm.SubscriptionBody{Flags: shm.SubscribePoll | shm.SubscribeKeepalive, TimeoutMS: 1, FieldsLen: 6, NamesLen: uint32(len(names))}
	return append(shm.Bytes(&b), "A: b\r\n"+names...)
}

func (s *served) subscribe(p []byte) {
	s.out.OutStart.Or(shm.OutStartMessage)
	s.out.Flags.Or(shm.OutStream)
	s.write(p)
	s.complete(0)
}

// ask opens the socket for questions, and sends bytes on it.
func ask(p []byte) { askOn(p) }

// askOn is ask. It returns the socket.
func askOn(p []byte) int {
	fds, _ := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	passFile(nil, shm.MsgChannels, fds[1])
	unix.Close(fds[1])
	unix.Write(fds[0], p)
	return fds[0]
}

// question is a message on that socket.
func question(typ uint32, b shm.AskBody, texts string) []byte {
	body := append(shm.Bytes(&b), texts...)
	return append(append([]byte(nil), shm.Bytes(&shm.Msg{Type: typ, Len: uint32(len(body))})...), body...)
}

func init() {
	behaviours["waits"] = func(s *served, _ string) { s.subscribe(poll("a\x00")); s.finish(0) }
	behaviours["waits-dies"] = func(s *served, _ string) { s.subscribe(poll("a\x00")); die() }
	behaviours["waits-wrongly"] = func(s *served, _ string) { s.subscribe(poll("a")); hang() }
	behaviours["waits-for-nothing"] = func(s *served, _ string) {
		s.out.OutStart.Or(shm.OutStartMessage)
		s.write(poll("a\x00"))
		s.complete(0)
		hang()
	}
	behaviours["waits-for-nothing-done"] = func(s *served, _ string) {
		s.out.OutStart.Or(shm.OutStartMessage)
		s.write(poll("a\x00"))
		s.finish(0)
	}
	behaviours["waits-wrongly-done"] = func(s *served, _ string) { s.subscribe([]byte("nonsense")); s.finish(0) }
	wrong := func(name string, do func()) {
		behaviours["asks-"+name] = func(*served, string) { do(); hang() }
	}
	wrong("nonsense", func() { ask(question(shm.AskPublish, shm.AskBody{NameLen: 100}, "a")) })
	wrong("unknown", func() { ask(question(99, shm.AskBody{}, "")) })
	wrong("too-long", func() { ask(shm.Bytes(&shm.Msg{Type: shm.AskPublish, Len: 1 << 30})) })
	wrong("without-socket", func() { passFile(nil, shm.MsgChannels) })
	wrong("with-a-pipe", func() {
		p := make([]int, 2)
		unix.Pipe(p)
		passFile(nil, shm.MsgChannels, p[0])
	})
	behaviours["publishes-dies"] = func(*served, string) {
		ask(question(shm.AskPublish, shm.AskBody{NameLen: 1}, "a1"))
		die()
	}
	behaviours["gives-up-asking"] = func(s *served, _ string) { // in the middle of a question, as with a server that stands still
		whole := question(shm.AskPublish, shm.AskBody{NameLen: 1}, "a1")
		for n := range len(whole) {
			fd := askOn(whole[:n])
			unix.Shutdown(fd, unix.SHUT_WR)
			f := os.NewFile(uintptr(fd), "questions")
			io.Copy(io.Discard, f)
			f.Close()
		}
		s.write([]byte("done"))
		s.finish(0)
	}
	behaviours["asks-much"] = func(s *served, _ string) { // and does not read the answers; each call replaces the last socket
		for range 20 {
			ask(question(shm.AskPosition, shm.AskBody{}, ""))
		}
		s.write([]byte("done"))
		s.finish(0)
	}
}

// An exchange that a worker hands over is answered by the loop, whatever becomes of the worker.
func TestHandOverExchange(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "fork_error_delay", 0.01}}})
	for _, target := range []string{"waits", "waits-dies"} {
		got := r.get(target)
		if !strings.HasPrefix(got.out, "HTTP/1.1 204 No Content\r\n") || !strings.Contains(got.out, "A: b\r\n") || got.end != backend.EndKeep {
			t.Errorf("%s: %+v", target, got)
		}
	}
	for _, target := range []string{"waits-wrongly", "waits-wrongly-done", "waits-for-nothing", "waits-for-nothing-done"} {
		wantStatus(t, r.get(target), 502)
	}
	r.quiet()
}

// What a worker publishes in place of a response is no output, even if the loop looks before the flag is there that says what it is.
func TestMessageBeforeItsFlag(t *testing.T) {
	s := newStill(t, 1)
	x := &plain{}
	cell := s.begin(x, 0)
	c := s.claim(0)
	out, window := s.l.p.mem.OutCell(c.Loop, c.Cell)
	n := copy(window, poll("a\x00"))
	out.OutStart.Store(shm.OutStartMessage)
	out.OutHead.Store(uint64(n))
	s.turn(slowTickEvery)
	if x.bytes > 0 {
		t.Errorf("%d bytes of it went to the client", x.bytes)
	}
	out.Flags.Store(shm.OutStream | shm.OutComplete)
	s.turn(slowTickEvery)
	if cell.x != nil || x.bytes > 0 {
		t.Errorf("the exchange was not handed over, %d bytes went to the client", x.bytes)
	}
}

// If the client goes in between, that is no fault of the worker.
func TestMessageBeforeItsFlagForNobody(t *testing.T) {
	s := newStill(t, 1)
	cell := s.begin(&plain{}, 0)
	c := s.claim(0)
	out, window := s.l.p.mem.OutCell(c.Loop, c.Cell)
	n := copy(window, poll("a\x00"))
	out.OutStart.Store(shm.OutStartMessage)
	out.OutHead.Store(uint64(n))
	s.turn(slowTickEvery)
	cell.Cancel()
	out.Flags.Store(shm.OutWebSocketBlocking)
	s.turn(slowTickEvery)
	if why := s.workers[0].fault.Load(); why != nil {
		t.Errorf("the worker is ended: %s", *why)
	}
}

// A worker that does not keep to the form is ended, and its exchange fails.
func TestMalformedQuestions(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "fork_error_delay", 0.01}}})
	for _, name := range []string{"nonsense", "unknown", "too-long", "without-socket", "with-a-pipe"} {
		wantStatus(t, r.send(&request{method: "POST", target: "asks-" + name}).wait(), 502)
	}
	if got := r.get("asks-much"); got.out != "done" {
		t.Errorf("%+v", got)
	}
	r.quiet()
}

// A worker that gives up in the middle of a question closes the socket, and goes on.
func TestQuestionGivenUp(t *testing.T) {
	r := start(t, setup{})
	if got := r.get("gives-up-asking"); got.out != "done" { // the server has closed its ends by then
		t.Errorf("%+v", got)
	}
	r.quiet()
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	for w := range r.p.workers() {
		if why := w.fault.Load(); why != nil {
			t.Errorf("the worker is to be killed: %s", *why)
		}
	}
}

// slowLog publishes nothing, slowly.
type slowLog struct{ appended atomic.Int32 }

func (l *slowLog) Append(string, channel.Post) error {
	time.Sleep(50 * time.Millisecond)
	l.appended.Add(1)
	return nil
}

// A client that learns that its request has failed may send it again: what the worker has published before its end is published by then.
func TestLastQuestionBeforeFailure(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "fork_error_delay", 0.01}}})
	var l slowLog
	r.h.cfg.Channels.UseLog(&l)
	for n := range int32(3) {
		r.ready(1)
		wantStatus(t, r.send(&request{method: "POST", target: "publishes-dies"}).wait(), 502)
		if got := l.appended.Load(); got != n+1 {
			t.Errorf("%d messages are published, want %d", got, n+1)
		}
	}
	r.quiet()
}
