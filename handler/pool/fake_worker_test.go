package pool

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
	"moonbridge/handler/shm/shmtest"
)

// fakeProc is the test binary as a worker. Its descriptors from 3 on: in, out, control, standard error, doorbell, the
// doorbells of the loops. The path of a request says what it does.
type fakeProc struct {
	m     *shmtest.Memory
	w     *shmtest.Worker
	flush chan bool
	gone  chan bool // the client of the exchange has gone
	socks chan int  // sockets that were passed
	ends  chan bool // orders to end the input
	quit  bool
}

const (
	fdControl = 5
	fdBell    = 7
	fdLoops   = 8
)

func fakeWorker() {
	slot, _ := strconv.Atoi(os.Getenv(workerEnv))
	m, err := shmtest.Map(os.NewFile(3, "in"), os.NewFile(4, "out"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	p := &fakeProc{m: m, w: m.Worker(slot), flush: make(chan bool, 1), gone: make(chan bool, 8), socks: make(chan int, 8), ends: make(chan bool)}
	ctl := os.NewFile(fdControl, "control")
	say := func(typ uint32, text string) {
		ctl.Write(append(shm.Bytes(&shm.Msg{Type: typ, Len: uint32(len(text))}), text...))
	}
	script := os.Getenv(scriptEnv)
	switch {
	case strings.Contains(script, "prepare-fail"):
		say(shm.MsgWorkerFailed, "prepare: boom")
		os.Exit(1)
	case strings.Contains(script, "prepare-once"):
		if marker(script[strings.Index(script, "/"):]) {
			os.Exit(1)
		}
	}
	if !strings.Contains(script, "never-reads") {
		go p.control()
	}
	say(shm.MsgWorkerReady, "")
	if strings.Contains(script, "babble") {
		say(77, "what")
	}
	fmt.Fprintln(os.Stderr, "worker says hello")
	p.serve()
	fmt.Fprintln(os.Stderr, "worker finishes")
	os.Exit(0)
}

// control reads the control socket.
func (p *fakeProc) control() {
	for b, oob := make([]byte, 1), make([]byte, 64); ; {
		n, oobn, _, _, err := unix.Recvmsg(fdControl, b, oob, 0)
		if err == unix.EINTR || err == unix.EAGAIN {
			continue
		}
		if n <= 0 {
			os.Exit(0)
		}
		if b[0] == shm.CtlDescriptor {
			cs, _ := unix.ParseSocketControlMessage(oob[:oobn])
			fds, _ := unix.ParseUnixRights(&cs[0])
			p.socks <- fds[0]
			continue
		}
		if b[0] == shm.CtlEndInput {
			select {
			case p.ends <- true:
			default:
			}
			continue
		}
		if b[0] == shm.CtlClientGone {
			p.gone <- true
			continue
		}
		select {
		case p.flush <- true:
		default:
		}
	}
}

func (p *fakeProc) serve() {
	for !p.quit {
		if c, ok := p.w.Claim(); ok {
			p.exchange(c)
			continue
		}
		if p.w.Quit() {
			return
		}
		p.sleep(func() bool { return p.w.Waiting() || p.w.Quit() })
	}
}

// sleep blocks until the doorbell rings, unless there is something already.
func (p *fakeProc) sleep(something func() bool) {
	p.w.Sleep()
	if !something() {
		fds := []unix.PollFd{{Fd: fdBell, Events: unix.POLLIN}}
		unix.Poll(fds, -1)
		var b [512]byte
		unix.Read(fdBell, b[:])
	}
	p.w.Awake()
}

const headSize = uint32(unsafe.Sizeof(shm.Head{}))

// served is one exchange in the worker.
type served struct {
	p     *fakeProc
	c     shmtest.Claim
	in    *shm.InCell
	out   *shm.OutCell
	iw    []byte
	ow    []byte
	taken uint64
	head  shm.Head
	block []byte
	ends  uint32 // In* that end a read
}

func (s *served) signal() {
	if s.p.w.Signal(s.c) {
		shmtest.Ring(fdLoops + s.c.Loop)
	}
}

func (s *served) finish(result uint32) {
	if s.p.w.Finish(s.c, result) {
		shmtest.Ring(fdLoops + s.c.Loop)
	}
}

// reportFailure reports an error of the handler.
func (s *served) reportFailure() {
	body := reportOf(shm.MsgReportBody{Level: shm.LevelError, Exchange: s.head.Exchange}, "x.lua:1: failed", "stack traceback:\n\tx.lua:1", "request")
	unix.Write(fdControl, append(shm.Bytes(&shm.Msg{Type: shm.MsgReport, Len: uint32(len(body))}), body...))
}

// complete says that the response is whole, and goes on.
func (s *served) complete(flags uint32) {
	s.ends &^= shm.InCancel // a client that has gone after its response is not missed
	s.out.Flags.Or(shm.OutComplete | flags)
	s.signal()
}

// read takes up to len(to) bytes of the in-window. 0: there will be no more.
func (s *served) read(to []byte) int {
	for {
		flags := s.in.Flags.Load()
		head := s.in.InHead.Load()
		if n := min(uint64(len(to)), head-s.taken); n > 0 {
			a, b := shm.Ring(s.iw, s.taken, n)
			copy(to[copy(to, a):], b)
			s.taken += n
			s.out.InTail.Store(s.taken)
			if s.in.Flags.Load()&shm.InWantRoom != 0 {
				s.signal()
			}
			return int(n)
		}
		if flags&s.ends != 0 && s.in.InHead.Load() == s.taken {
			return 0
		}
		s.p.sleep(func() bool {
			return s.in.InHead.Load() != s.taken || s.in.Flags.Load()&s.ends != 0
		})
	}
}

// write publishes bytes as there is room. false: they are not wanted any more.
func (s *served) write(p []byte) bool {
	for len(p) > 0 {
		if s.in.Flags.Load()&shm.InCancel != 0 {
			return false
		}
		head := s.out.OutHead.Load()
		room := uint64(len(s.ow)) - (head - s.in.OutTail.Load())
		n := min(room, uint64(len(p)))
		if n == 0 {
			s.signal()
			s.p.sleep(func() bool {
				return s.in.OutTail.Load()+uint64(len(s.ow)) > head || s.in.Flags.Load()&shm.InCancel != 0
			})
			continue
		}
		shm.RingPut(s.ow, uint64(s.out.OutStart.Load())+head, p[:n])
		s.out.OutHead.Store(head + n)
		p = p[n:]
	}
	return true
}

func (p *fakeProc) exchange(c shmtest.Claim) {
	s := &served{p: p, c: c, ends: shm.InEnd | shm.InAbort | shm.InCancel}
	s.in, s.iw = p.m.InCell(c.Loop, c.Cell)
	s.out, s.ow = p.m.OutCell(c.Loop, c.Cell)
	if s.in.Gen.Load() != c.Gen {
		fmt.Fprintln(os.Stderr, "WRONG GENERATION")
		os.Exit(9)
	}
	s.out.OutStart.Store(uint32(rand.IntN(len(s.ow)))) // any place will do: rings wrap around
	if !s.readHead() {                                 // the client has gone while the head was on its way
		s.finish(shm.ResultReset)
		return
	}
	raw := s.block[s.head.RawOff-headSize:][:s.head.RawLen]
	if s.head.Kind == shm.KindInterval {
		s.tick(string(raw))
		return
	}
	if s.head.Kind == shm.KindMain {
		s.main(string(raw))
		return
	}
	if s.head.Kind == shm.KindSocket {
		s.raw()
		return
	}
	path := string(raw[s.head.PathOff:][:s.head.PathLen])
	query := strings.TrimPrefix(string(raw[s.head.QueryOff:][:s.head.QueryLen]), "?")
	behaviour := behaviours[path]
	if behaviour == nil {
		s.finish(404 << shm.ResultStatusShift)
		return
	}
	behaviour(s, query)
}

// readHead takes the head block. false: it ends before its time.
func (s *served) readHead() bool {
	if !s.readFull(shm.Bytes(&s.head)) {
		return false
	}
	s.block = make([]byte, s.head.Size-headSize)
	return s.readFull(s.block)
}

func (s *served) readFull(p []byte) bool {
	for len(p) > 0 {
		n := s.read(p)
		if n == 0 {
			return false
		}
		p = p[n:]
	}
	return true
}

// main runs until there is a file of its name, or until the worker is told to end. Then it makes the file. A file that is
// not empty makes it fail.
func (s *served) main(name string) {
	for text, err := os.ReadFile(name); ; text, err = os.ReadFile(name) {
		switch {
		case err == nil && len(text) > 0:
			s.finish(shm.ResultReset)
			return
		case err == nil || s.p.w.Quit():
			os.WriteFile(name, nil, 0o600)
			s.finish(0)
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func (s *served) tick(name string) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err == nil {
		if strings.HasSuffix(name, ".job") {
			job(f)
		} else {
			fmt.Fprintf(f, "%d\n", time.Now().UnixNano())
		}
		f.Close()
	}
	s.finish(0)
}

// job is a tick that takes as long as there is a file with the suffix ".hold". Its begin and its end are lines of f. A tick
// that begins while the process of another one is still there, in the middle of it, says so.
func job(f *os.File) {
	text, _ := io.ReadAll(f)
	lines := strings.Fields(string(text))
	if n := len(lines); n > 0 {
		if pid, err := strconv.Atoi(strings.TrimPrefix(lines[n-1], "begins:")); err == nil && unix.Kill(pid, 0) == nil && !zombie(pid) {
			fmt.Fprintln(f, "overlaps")
		}
	}
	fmt.Fprintf(f, "begins:%d\n", os.Getpid())
	for {
		if _, err := os.Stat(f.Name() + ".hold"); err != nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	fmt.Fprintln(f, "ends")
}
