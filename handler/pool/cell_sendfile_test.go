package pool

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/backend"
	"moonbridge/handler/shm"
)

// sentFile makes the file that workers send.
func sentFile(t *testing.T) (name, content string) {
	t.Helper()
	name, content = filepath.Join(t.TempDir(), "file"), string(testBody(5000))
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name, content
}

// A worker's file reaches the connection in the right order, whether the message or the head is seen first, and however slowly
// the connection takes the text. Then it is closed.
func TestSendFile(t *testing.T) {
	r := start(t, setup{})
	name, content := sentFile(t)
	for _, target := range []string{"sends", "sends-late"} {
		for _, take := range []int{0, 1, 3} {
			got := r.send(&request{target: target + "?" + name, take: take}).wait()
			got.complete = false
			wantOut(t, got, sentText(content))
		}
	}
	isNotOpen(t, name)
	r.quiet()
}

// A head that a range of a file follows goes to the connection together with it.
func TestSendFileJoined(t *testing.T) {
	r := start(t, setup{})
	name, content := sentFile(t)
	for _, take := range []int{0, 1, 3} {
		q := r.send(&request{target: "sends-range?" + name, take: take})
		got := q.wait()
		got.complete = false
		wantOut(t, got, "head "+content[10:110])
		if q.joined != 1 {
			t.Errorf("taking %d bytes at a time: joined %d times", take, q.joined)
		}
	}
	isNotOpen(t, name)
	r.quiet()
}

// The connection need not wait for the end of a handler that has sent a file.
func TestSendFileAnswered(t *testing.T) {
	r := start(t, setup{})
	name, content := sentFile(t)
	q := r.send(&request{target: "sends-holds?" + name})
	got := q.wait()
	if got.out != sentText(content) || !got.complete {
		t.Errorf("got %+v", got)
	}
	isNotOpen(t, name)
	if err := os.WriteFile(name+".go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	q.awaitLeft()
	r.quiet()
}

// What a worker has handed over is sent although the worker dies. A file whose head has not come is closed, and the request
// gets another worker.
func TestSendFileDeath(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "fork_error_delay", 0.01}}})
	for _, target := range []string{"sends-dies", "sends-half-dies"} {
		name, content := sentFile(t)
		got := r.get(target + "?" + name)
		if got.out != sentText(content) || got.status != 0 || got.end != backend.EndKeep {
			t.Errorf("%s: %d bytes, %+v", target, len(got.out), got.status)
		}
		isNotOpen(t, name)
	}
	name, _ := sentFile(t)
	wantStatus(t, r.send(&request{method: "POST", target: "sends-torn?" + name}).wait(), 502)
	isNotOpen(t, name)
	r.quiet()
}

// The connection ends while the file is on its way, or waits for the connection.
func TestSendFileCancel(t *testing.T) {
	r := start(t, setup{})
	for _, target := range []string{"sends", "sends-late", "sends-holds"} {
		name, _ := sentFile(t)
		q := r.send(&request{target: target + "?" + name, stuck: true})
		eventually(t, "the file has come, or the head", func() (is bool) {
			r.loops[0].do(func() { c := q.r.(*cell); is = c.file.state == outFileHere || c.response.inFile })
			return is
		})
		q.cancel()
		isNotOpen(t, name)
		os.WriteFile(name+".go", nil, 0o600)
	}
	r.quiet()
	if s := r.p.Stats(); s.Deaths != 0 {
		t.Errorf("%d workers died", s.Deaths)
	}
}

// The pool ends while a connection has not taken all of a response with a file, or the handler that has sent one goes on.
func TestSendFileStop(t *testing.T) {
	for _, target := range []string{"sends", "sends-holds"} {
		r := start(t, setup{})
		name, _ := sentFile(t)
		q := r.send(&request{target: target + "?" + name, stuck: true})
		eventually(t, "the file has come", func() (is bool) {
			r.loops[0].do(func() { is = q.r.(*cell).file.state == outFileHere })
			return is
		})
		r.h.Kill()
		wantStatus(t, q.wait(), 503)
		isNotOpen(t, name)
	}
}

// A worker that sends what makes no sense is ended, and leaves no descriptor here.
func TestSendFileViolations(t *testing.T) {
	setCorruptGrace(t)
	old := takeSpan
	takeSpan = time.Second
	t.Cleanup(func() { takeSpan = old })
	r := start(t, setup{options: [][3]any{{0, "fork_error_delay", 0.01}}})
	name, content := sentFile(t)
	for target, c := range map[string]struct {
		status int
		log    string
	}{
		"sends-two-fds":       {502, "body in a file"},
		"sends-many-fds":      {502, "body in a file"},
		"sends-piecemeal":     {502, "more than one descriptor"},
		"sends-a-directory":   {502, "not a file that can be read"},
		"sends-a-pipe":        {502, "not a file that can be read"},
		"sends-nonsense":      {502, "malformed body in a file"},
		"sends-negative":      {502, "malformed body in a file"},
		"sends-no-such-loop":  {502, "body in a file"},
		"sends-unasked":       {502, "descriptor that was not asked for"},
		"sends-nothing":       {502, "a file that it has announced has not come"},
		"sends-nothing-holds": {502, "announces a file and does not send it"},
		"sends-no-fd":         {503, ""},
	} {
		got := r.send(&request{method: "POST", target: target + "?" + name}).wait()
		if got.status != c.status || got.out != "" {
			t.Errorf("%s: %d, %q", target, got.status, got.out)
		}
		r.log.await(t, c.log)
		isNotOpen(t, name)
	}
	for range 2 {
		got := r.get("sends-elsewhere?" + name)
		if got.out != sentText(content) || got.status != 0 {
			t.Errorf("sent elsewhere too: %d, %d bytes", got.status, len(got.out))
		}
	}
	isNotOpen(t, name)
	r.quiet()
}

// A worker cannot fill the server with files while a loop is busy.
func TestSendFileFlood(t *testing.T) {
	r := start(t, setup{})
	name, _ := sentFile(t)
	q := r.send(&request{target: "sends-flood?" + name})
	r.loops[0].do(func() {})
	free := make(chan struct{})
	r.loops[0].Post(func() { <-free })
	err := os.WriteFile(name+".go", nil, 0o600)
	posted := func() (n int32) { // of the only worker that has sent any
		for i := range r.p.slots {
			if w := r.p.slots[i].Load(); w != nil {
				n += w.filesPosted.Load()
			}
		}
		return n
	}
	if err == nil {
		for end := time.Now().Add(testPatience); posted() <= filesPostedMax && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
	}
	if n := posted(); n != filesPostedMax+1 {
		t.Errorf("%d files wait, want %d and the next one; %v", n, filesPostedMax, err)
	}
	close(free)
	q.wait()
	isNotOpen(t, name)
	r.quiet()
}

// Without a file, the descriptor must not be kept open by what is still in the socket.
func TestControlReader(t *testing.T) {
	ours, theirs, err := controlPair()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	excess := 0
	in := newControlReader(ours, func() { excess++ })
	var buf []byte
	for rights, want := range []int{0, 1, 0, 0} { // of each message; with more than one, no more are kept
		message := append(shm.Bytes(&shm.Msg{Type: shm.MsgFile, Len: 3}), "abc"...)
		if err := unix.Sendmsg(int(theirs.Fd()), message, unix.UnixRights(make([]int, rights)...), nil, 0); err != nil {
			t.Fatal(err)
		}
		typ, body, err := readMsg(in, &buf)
		fds := in.take()
		if typ != shm.MsgFile || string(body) != "abc" || err != nil || len(fds) != want {
			t.Errorf("type %d, %q, %v, %d descriptors of %d", typ, body, err, len(fds), rights)
		}
		closeFiles(fds)
	}
	if excess != 1 || !in.closed {
		t.Errorf("the excess was reported %d times", excess)
	}
	theirs.Close()
	if _, _, err := readMsg(in, &buf); err == nil || len(in.take()) != 0 {
		t.Errorf("at the end: %v", err)
	}
}
