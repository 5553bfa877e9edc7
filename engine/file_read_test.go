package engine

import (
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/reactor"
)

// mountedFile is a scriptedFile of another machine.
type mountedFile struct{ *scriptedFile }

func (mountedFile) Mount() uint64 { return 7 }

func (d *dialogue) inMemory(file int, offset, n int64) bool {
	f := d.files[file]
	if f == nil && file < firstFile {
		return d.spoolInMemory < 0 || offset+n <= d.spoolInMemory
	}
	if f == nil {
		d.t.Errorf("the system is asked about descriptor %d", file)
		return true
	}
	f.asked++
	return offset+n <= f.inMemory
}

// open returns a file that is being read, which must be open.
func (d *dialogue) open(file int) *scriptedFile {
	f := d.files[file]
	if f.released == f.given {
		d.t.Errorf("file %d is read after its release", file)
	}
	return f
}

func (d *dialogue) readAll(file int, offset, n int64) error {
	if file < firstFile {
		d.spoolInMemory = max(d.spoolInMemory, offset+n)
		return reactor.ReadAll(file, offset, n)
	}
	f := d.open(file)
	f.inMemory = max(f.inMemory, offset+n)
	return nil
}

func (d *dialogue) readFile(file int, p []byte, offset int64) (int, error) {
	f := d.open(file)
	if f.readError != nil {
		return 0, f.readError
	}
	n := copy(p, f.content[min(offset, int64(len(f.content))):])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// readsFiles lets the goroutines do what they have to, and the loop hear of it, until nothing is left.
func (d *dialogue) readsFiles() (reads int) {
	d.t.Helper()
	for d.settle(); len(d.reads) > 0; d.settle() {
		fn := d.reads[0]
		d.reads = d.reads[1:]
		fn()
		reads++
	}
	return reads
}

// What is not in memory is read by a goroutine first, in large pieces, and then sent. The connection waits meanwhile.
func TestFileNotInMemory(t *testing.T) {
	for _, room := range []int{0, 1000, anyRoom} {
		d := newDialogue(t, Limits{})
		d.peer.says(get("/"))
		d.peer.room = room
		f := d.newFile(pattern(3*aheadBytes + 5))
		f.inMemory = aheadBytes / 2
		d.handler.givesFile(f)
		d.handler.ends(backend.EndKeep)
		for i := 0; d.c.state != stateIdle && i < 10; i++ {
			d.readsFiles()
			d.peer.takes(600_000)
		}
		d.readsFiles()
		d.peer.hears(200, f.content)
		d.is(stateIdle)
		if f.released != 1 {
			t.Errorf("released %d times", f.released)
		}
	}
}

// Many are at different places of a file: the system is asked for each piece, from time to time, and not about what is beyond the end.
func TestFilePiecesWarm(t *testing.T) {
	d := newDialogue(t, Limits{})
	const size = 3*warmPiece + 5
	f := d.newFile(pattern(size))
	f.released = f.given // it is not given to a connection
	ask := func(offset, n int64, want bool, asked int) {
		t.Helper()
		before := f.asked
		if got := d.l.inMemory(f, offset, n, size); got != want || f.asked-before != asked {
			t.Errorf("%d bytes from %d: %v, asked %d times; want %v and %d", n, offset, got, f.asked-before, want, asked)
		}
	}
	f.inMemory = size
	ask(10, 100, true, 2)
	ask(warmPiece-1, 2, true, 2) // the second piece
	ask(500_000, warmPiece, true, 0)
	ask(warmPiece+7, 1000, true, 0)
	ask(3*warmPiece-5, 10, true, 2) // the third; the rest of the file is no piece
	ask(3*warmPiece-4, 9, true, 0)  // a part of the last range
	ask(3*warmPiece-6, 10, true, 1)
	f.inMemory = 2 * warmPiece // the system forgets, which is noticed within a second
	ask(2*warmPiece, 100, true, 0)
	d.passes(warmTime)
	ask(2*warmPiece, 100, false, 1)
	ask(2*warmPiece-100, 100, true, 2)
	f.inMemory = 2*warmPiece + 1000
	ask(2*warmPiece, 100, true, 2) // a piece that is in memory in part is asked about again
	ask(2*warmPiece+200, 100, true, 2)
	ask(2*warmPiece+200, 900, false, 1)
}

// While many ask for a file, the system is asked from time to time.
func TestFileWarm(t *testing.T) {
	d := newDialogue(t, Limits{})
	f := d.newFile(pattern(5000))
	for i, c := range []struct {
		wait  time.Duration
		asked int
	}{{0, 1}, {0, 1}, {warmTime - 1, 1}, {1, 2}, {0, 2}, {2 * warmTime, 3}} {
		d.passes(c.wait)
		d.peer.says(get("/"))
		d.handler.givesFile(f)
		d.handler.ends(backend.EndKeep)
		d.peer.hears(200, f.content)
		if f.asked != c.asked {
			t.Errorf("request %d: asked %d times, want %d", i, f.asked, c.asked)
		}
	}
	if !d.l.inMemory(f, 1000, 500, 5000) || f.asked != 3 {
		t.Error("the system is asked about a part")
	}
	f.inMemory = 0
	if d.l.inMemory(f, 0, 5001, 5001) || d.l.inMemory(&scriptedFile{fd: f.fd}, 0, 10, 10) {
		t.Error("the system is not asked about something else")
	}
}

// The system may forget what was read before it is sent. It is sent all the same: otherwise it would be read for ever.
func TestFileForgotten(t *testing.T) {
	d := newDialogue(t, Limits{})
	d.peer.says(get("/"))
	f := d.newFile(pattern(2*aheadBytes + 5))
	f.inMemory = 0
	d.handler.givesFile(f)
	d.handler.ends(backend.EndKeep)
	reads := 0
	for ; len(d.reads) > 0; reads++ {
		fn := d.reads[0]
		d.reads = nil
		fn()
		f.inMemory = 0
		d.settle()
	}
	d.peer.hears(200, f.content)
	if reads != 3 {
		t.Errorf("%d reads", reads)
	}
}

// The loop reads nothing of a file of another machine. The connection holds one piece of it.
func TestFileMounted(t *testing.T) {
	for _, room := range []int{0, 1000, 100_000, anyRoom} {
		d := newDialogue(t, Limits{Overlap: -1})
		d.peer.says(get("/") + get("/next"))
		d.peer.room = room
		f := d.newFile(pattern(3*mountPiece + 5))
		f.fails = syscall.EIO // of sendfile
		f.given++
		d.handler.outputs(headFor(len(f.content)+len(f.content)-10), false)
		sender := d.handler.x.(backend.FileSender)
		sender.OutputFile(mountedFile{f}, 0, int64(len(f.content)), false)
		f.given++
		sender.OutputFile(mountedFile{f}, 10, int64(len(f.content)-10), true)
		d.handler.ends(backend.EndKeep)
		for range 20 {
			d.readsFiles()
			if held := len(d.c.files.first()); held > mountPiece {
				t.Errorf("%d bytes are held", held)
			}
			d.peer.takes(50_000)
		}
		d.readsFiles()
		d.peer.takes(anyRoom)
		d.readsFiles()
		d.peer.hears(200, f.content+f.content[10:])
		d.handler.started = d.handler.started[1:]
		d.handler.answers("hello")
		d.peer.hears(200, "hello")
	}
}

// first is what is held of the first file.
func (q *fileList) first() []byte {
	if q == nil {
		return nil
	}
	return q.ranges[0].data
}

// A file of another machine that ends too early, or cannot be read, resets the connection.
func TestFileMountedLost(t *testing.T) {
	for _, err := range []error{nil, errors.New("stale")} {
		d := newDialogue(t, Limits{})
		d.peer.says(get("/"))
		f := d.newFile(pattern(mountPiece + 100))
		f.given++
		d.handler.outputs(headFor(2*mountPiece), false)
		d.handler.x.(backend.FileSender).OutputFile(mountedFile{f}, 0, 2*mountPiece, true)
		f.readError = err
		d.readsFiles()
		if !d.peer.closed || !d.peer.willReset {
			t.Errorf("%v: closed %v, reset %v", err, d.peer.closed, d.peer.willReset)
		}
	}
}

// A connection that ends while a file is read leaves the file open until that is done.
func TestFileReadAfterEnd(t *testing.T) {
	for _, mounted := range []bool{false, true} {
		d := newDialogue(t, Limits{StallTimeout: time.Minute})
		d.peer.says(get("/"))
		f, other := d.newFile(pattern(5000)), d.newFile(pattern(5000))
		f.inMemory = 0
		var file backend.SentFile = f
		if mounted {
			file = mountedFile{f}
		}
		f.given++
		d.handler.outputs(headFor(10_000), false)
		d.handler.x.(backend.FileSender).OutputFile(file, 0, 5000, false)
		outputsFile(d.handler.x, other, 0, 5000, true)
		d.handler.ends(backend.EndKeep)
		d.passes(time.Minute) // the file system hangs: the connection is given up
		if !d.peer.closed || !d.peer.willReset {
			t.Fatalf("mounted %v: closed %v", mounted, d.peer.closed)
		}
		if f.released != 0 || other.released != 1 {
			t.Errorf("mounted %v: released %d and %d times", mounted, f.released, other.released)
		}
		if n := d.readsFiles(); n != 1 || f.released != 1 {
			t.Errorf("mounted %v: %d reads, released %d times", mounted, n, f.released)
		}
	}
}

// Files of all kinds, in any order, to peers of all kinds.
func TestFileReadsRandom(t *testing.T) {
	seed := rand.Uint64()
	for i := range uint64(80) { // megabytes each
		r := rand.New(rand.NewPCG(seed, i))
		d := newDialogue(t, Limits{})
		d.peer.says(get("/"))
		d.peer.room = r.IntN(100_000)
		var all, texts []string
		var give []func()
		for range 1 + r.IntN(4) {
			f := d.newFile(pattern(1 + r.IntN(2*aheadBytes)))
			f.inMemory = r.Int64N(int64(2 * len(f.content)))
			n := 1 + r.IntN(len(f.content))
			offset := r.IntN(len(f.content) - n + 1)
			all = append(all, f.content[offset:offset+n])
			var file backend.SentFile = f
			if r.IntN(2) == 0 {
				file = mountedFile{f}
			}
			text := pattern(r.IntN(100))
			texts = append(texts, text)
			give = append(give, func() {
				f.given++
				d.handler.x.(backend.FileSender).OutputFile(file, int64(offset), int64(n), false)
				d.handler.outputs(text, false)
			})
		}
		body := ""
		for i := range all {
			body += all[i] + texts[i]
		}
		d.handler.outputs(headFor(len(body)), false)
		for _, fn := range give {
			fn()
			if r.IntN(2) == 0 {
				d.readsFiles()
			}
		}
		d.handler.ends(backend.EndKeep)
		for steps := 0; d.c.state != stateIdle; steps++ {
			d.readsFiles()
			d.peer.takes(r.IntN(300_000))
			if steps == 1000 {
				t.Fatalf("seed %d, %d: it does not end", seed, i)
			}
		}
		d.peer.hears(200, body)
	}
}

// A file system that hangs does not stop the reads of others.
func TestFileReaders(t *testing.T) {
	r := newFileReaders()
	hold := make(chan struct{})
	var begun, done sync.WaitGroup
	begun.Add(readersMax)
	for range readersMax {
		done.Add(1)
		r.start(7, func() { defer done.Done(); begun.Done(); <-hold })
	}
	begun.Wait()
	done.Add(1)
	waited := false
	r.start(7, func() { defer done.Done(); waited = true })
	other := make(chan struct{})
	r.start(0, func() { close(other) })
	<-other
	r.mu.Lock()
	if m := r.mounts[7]; m.running != readersMax || len(m.queue) != 1 {
		t.Errorf("%d run, %d wait", m.running, len(m.queue))
	}
	r.mu.Unlock()
	close(hold)
	done.Wait()
	if !waited {
		t.Error("what has waited was not run")
	}
	for left := 1; left > 0; { // the goroutines have done their work, and are about to end
		r.mu.Lock()
		left = len(r.mounts)
		r.mu.Unlock()
	}
}

// A head does not wait for a file that has to be read first: the system would keep it for a fifth of a second.
func TestFileJoinedLater(t *testing.T) {
	for _, mounted := range []bool{false, true} {
		d := newDialogue(t, Limits{})
		d.peer.says(get("/"))
		f := d.newFile(pattern(5000))
		f.given++
		f.inMemory = 0
		var file backend.SentFile = f
		if mounted {
			file = mountedFile{f}
		}
		head := headFor(5000)
		if n := d.handler.x.(backend.FileJoiner).OutputJoined([]byte(head), file, 0, 5000, true); n != len(head) {
			t.Fatalf("%d bytes of the head are taken", n)
		}
		if d.peer.joined != 0 {
			t.Errorf("another machine: %v; the head waits for the file", mounted)
		}
		d.handler.ends(backend.EndKeep)
		if d.readsFiles() == 0 {
			t.Error("the file was not read")
		}
		d.peer.hears(200, f.content)
	}
}
