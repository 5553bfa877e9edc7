package pool

import (
	"bytes"
	"os"
	"strconv"
	"time"
	"unsafe"

	"moonbridge/handler/shm"
)

// draft is a Crash that is not complete yet.
type draft struct {
	Crash
	failure *failure
	window  []byte   // what the in-window began with: the head block, then the body
	file    *os.File // the body; nil: it is in window
	ended   bool     // all of the body has arrived
	records bool     // what follows the head is no body, but the messages of a WebSocket
	message int      // what follows the head are several messages, and the worker was at this one; 0: a body
	notes   *notes   // of the worker
}

// exchange is the number of the exchange in the cell; 0: its head is overwritten.
func (c *cell) exchange() uint64 {
	var h shm.Head
	switch {
	case c.body.holdsHead():
		copy(shm.Bytes(&h), c.body.window)
	case c.kept != nil:
		copy(shm.Bytes(&h), c.kept.window)
	}
	return h.Exchange
}

// draft takes what is known of the exchange in the cell, which has failed. Loops call it: what takes time is left to complete.
func (c *cell) draft(w *Worker, f *failure) *draft {
	a := c.about()
	d := &draft{
		Crash: Crash{
			Time: time.Now(), Pool: c.l.p.index, Kind: kindNames[c.kind], Name: a.interval + a.main,
			Method: a.method, Path: a.path, RequestID: a.id, TraceID: a.trace, BodyLength: -1,
			Phase: c.phase(), PID: int(w.pid.Load()), Age: w.activity.age(time.Now()), Exchanges: w.out.Finished.Load(),
		},
		failure: f, window: c.windowCopy(), ended: c.body.flags&shm.InEnd != 0, notes: w.notes,
		records: c.blocking, message: c.inProgress(),
	}
	d.Waited, d.Running = c.split()
	if a.client.IsValid() {
		d.Client = a.client.Addr().Unmap().String()
	}
	if f := c.descriptor.file; f != nil {
		if fd, err := f.Open(); err == nil {
			d.file = os.NewFile(uintptr(fd), "body")
		}
	}
	d.ID = c.l.p.h.crashes.id(w, f.exchange)
	return d
}

// split is how long the exchange has waited for its worker, and how long that has had it. If it was not seen to take it, all counts as
// the second.
func (c *cell) split() (waited, running time.Duration) {
	now := c.l.on.Clock()
	if c.watch.claimed == 0 && !(c.times.timed && c.out.Claimed.Load() != 0) {
		return 0, time.Duration(now - c.queued)
	}
	began := c.began(now)
	return time.Duration(began - c.queued), time.Duration(now - began)
}

// windowCopy is what the in-window held from its first byte on, as far as it is known and wanted; nil: it is overwritten.
func (c *cell) windowCopy() []byte {
	b := &c.body
	switch {
	case !b.holdsHead() && c.kept != nil:
		return c.kept.window
	case !b.holdsHead():
		return nil
	}
	n := min(b.head, crashBytesMax)
	return append(bytes.Clone(b.window[:n]), b.spill[:min(uint64(len(b.spill)), crashBytesMax-n)]...)
}

// complete adds what takes time: it may read files, and waits for what the worker has said before its end.
func (d *draft) complete() {
	defer d.close()
	d.readWindow()
	d.readFile()
	if d.End == "" { // it goes on
		d.Memory = residentMemory(d.PID)
		time.Sleep(lineSpan)
	} else {
		d.notes.hearOut()
	}
	d.notes.addTo(d)
}

// readWindow takes the request apart. Nothing in the window is trusted.
func (d *draft) readWindow() {
	if len(d.window) < crashHeadSize {
		return
	}
	var h shm.Head
	copy(shm.Bytes(&h), d.window)
	d.Listener = int(h.Listener)
	d.Secure = h.Flags&shm.HeadSecure != 0
	if h.Flags&shm.HeadHasBody == 0 {
		d.BodyLength = 0
	} else if h.ContentLength <= 1<<62 {
		d.BodyLength = int64(h.ContentLength)
	}
	if d.Kind == kindNames[shm.KindHTTP] {
		d.Head = part(d.window, h.RawOff, h.RawLen)
	} else {
		d.BodyLength = -1
	}
	if d.file == nil && !d.records && uint64(h.Size) <= uint64(len(d.window)) {
		d.Body = d.window[h.Size:]
		if d.message > 0 {
			d.Body = shm.WSRecordData(d.Body, d.message-1)
		}
		d.judgeBody()
	}
}

// judgeBody finds out whether the body is complete.
func (d *draft) judgeBody() {
	switch {
	case d.BodyLength >= 0:
		d.BodyWhole = int64(len(d.Body)) == d.BodyLength
	case d.ended && len(d.window) < crashBytesMax:
		d.BodyWhole, d.BodyLength = true, int64(len(d.Body))
	}
}

// readFile reads the beginning of a body in a file.
func (d *draft) readFile() {
	if d.file == nil {
		return
	}
	body := make([]byte, min(max(d.BodyLength, 0), crashBytesMax))
	n, _ := d.file.ReadAt(body, 0)
	d.Body = body[:n]
	d.judgeBody()
}

// close closes what is not needed when the draft is complete, or given up.
func (d *draft) close() {
	if d.file != nil {
		d.file.Close()
		d.file = nil
	}
}

// lineSpan is how long it takes to read what a worker has just written to standard error, if the machine is not busy.
const lineSpan = 20 * time.Millisecond

const crashHeadSize = int(unsafe.Sizeof(shm.Head{}))

// residentMemory is the resident memory of a process in bytes; 0: not known.
func residentMemory(pid int) int64 {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm") // pages: size, resident, …
	if err != nil {
		return 0
	}
	fields := bytes.Fields(b)
	if len(fields) < 2 {
		return 0
	}
	n, _ := strconv.ParseInt(string(fields[1]), 10, 64)
	return n * int64(os.Getpagesize())
}
