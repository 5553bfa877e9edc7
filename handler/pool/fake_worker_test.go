package pool

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
	"moonbridge/handler/shm/shmtest"
)

// fakeProc is the test binary as a worker. Descriptors from 3 on: in, out, control, standard error, doorbell, those of the
// loops. What it does with a request says the request's path.
type fakeProc struct {
	m     *shmtest.Memory
	w     *shmtest.Worker
	in    *shm.InWorker
	flush chan bool
	socks chan int // sockets that were passed
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
	p := &fakeProc{m: m, w: m.Worker(slot), flush: make(chan bool, 1), socks: make(chan int, 8)}
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
		if b[0] == shm.CtlSocket {
			cs, _ := unix.ParseSocketControlMessage(oob[:oobn])
			fds, _ := unix.ParseUnixRights(&cs[0])
			p.socks <- fds[0]
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
		if flags&(shm.InEnd|shm.InAbort|shm.InCancel) != 0 && s.in.InHead.Load() == s.taken {
			return 0
		}
		s.p.sleep(func() bool {
			return s.in.InHead.Load() != s.taken || s.in.Flags.Load()&(shm.InEnd|shm.InAbort|shm.InCancel) != 0
		})
	}
}

// write publishes bytes as there is room. false: nobody wants them.
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
	s := &served{p: p, c: c}
	s.in, s.iw = p.m.InCell(c.Loop, c.Cell)
	s.out, s.ow = p.m.OutCell(c.Loop, c.Cell)
	if s.in.Gen.Load() != c.Gen {
		fmt.Fprintln(os.Stderr, "WRONG GENERATION")
		os.Exit(9)
	}
	s.out.OutStart.Store(uint32(rand.IntN(len(s.ow)))) // any place will do: rings wrap around
	s.readFull(shm.Bytes(&s.head))
	s.block = make([]byte, s.head.Size-headSize)
	s.readFull(s.block)
	raw := s.block[s.head.RawOff-headSize:][:s.head.RawLen]
	if s.head.Kind == shm.KindInterval {
		s.tick(string(raw))
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

func (s *served) readFull(p []byte) {
	for len(p) > 0 {
		n := s.read(p)
		if n == 0 {
			fmt.Fprintln(os.Stderr, "HEAD BROKEN OFF")
			s.finish(shm.ResultReset)
			return
		}
		p = p[n:]
	}
}

func (s *served) tick(name string) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		fmt.Fprintf(f, "%d\n", time.Now().UnixNano())
		f.Close()
	}
	s.finish(0)
}

func die() {
	unix.Kill(os.Getpid(), unix.SIGKILL)
	time.Sleep(time.Hour)
}

func number(query string) int {
	n, _ := strconv.Atoi(query)
	return n
}

// behaviours by path.
var behaviours = map[string]func(s *served, query string){
	"hello": func(s *served, query string) {
		s.write([]byte("hello " + query))
		s.finish(0)
	},
	"close": func(s *served, query string) {
		s.write([]byte("bye"))
		s.finish(shm.ResultClose)
	},
	"fields": func(s *served, query string) { // its own head, as it sees it
		var f shm.Field
		for i := range int(s.head.NFields) {
			copy(shm.Bytes(&f), s.block[16*i:])
			raw := s.block[s.head.RawOff-headSize:]
			s.write([]byte(fmt.Sprintf("%s=%s;", raw[f.NameOff:][:f.NameLen], raw[f.ValueOff:][:f.ValueLen])))
		}
		s.write([]byte(fmt.Sprintf("flags=%d length=%d listener=%d", s.head.Flags, int64(s.head.ContentLength), s.head.Listener)))
		s.finish(0)
	},
	"echo": func(s *served, query string) {
		s.out.Flags.Or(shm.OutBodyWanted)
		s.signal()
		buf := make([]byte, 1000)
		for n := s.read(buf); n > 0; n = s.read(buf) {
			if !s.write(buf[:n]) {
				break
			}
		}
		result := uint32(0)
		if flags := s.in.Flags.Load(); flags&shm.InAbort != 0 {
			s.write([]byte(fmt.Sprintf("!aborted %v", flags&shm.InTooLarge != 0)))
		}
		s.finish(result)
	},
	"big": func(s *served, query string) {
		left := number(query)
		chunk := make([]byte, 700)
		for i := range chunk {
			chunk[i] = byte(i)
		}
		for left > 0 {
			n := min(left, len(chunk))
			if !s.write(chunk[:n]) {
				break
			}
			left -= n
		}
		s.finish(0)
	},
	"linger": func(s *served, query string) { // answers, and is not asleep for some time after that
		s.write([]byte("lingers"))
		s.finish(0)
		time.Sleep(time.Duration(number(query)) * time.Millisecond)
	},
	"hold": func(s *served, query string) { // until there is a file of this name
		for {
			if _, err := os.Stat(query); err == nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
		s.write([]byte("held"))
		s.finish(0)
	},
	"meet": func(s *served, query string) { // waits until so many have come to the folder: "number,folder"
		most, dir, _ := strings.Cut(query, ",")
		if f, err := os.CreateTemp(dir, ""); err == nil {
			f.Close()
		}
		for {
			if es, _ := os.ReadDir(dir); len(es) >= number(most) {
				break
			}
			time.Sleep(time.Millisecond)
		}
		s.write([]byte("met"))
		s.finish(0)
	},
	"sleep": func(s *served, query string) {
		time.Sleep(time.Duration(number(query)) * time.Millisecond)
		s.write([]byte("slept"))
		s.finish(0)
	},
	"status": func(s *served, query string) { s.finish(uint32(number(query)) << shm.ResultStatusShift) },
	"reset":  func(s *served, query string) { s.write([]byte("par")); s.finish(shm.ResultReset) },
	"pid":    func(s *served, query string) { s.write([]byte(strconv.Itoa(os.Getpid()))); s.finish(0) },
	"retire": func(s *served, query string) {
		s.write([]byte("last"))
		s.finish(shm.ResultRetire)
		s.p.quit = true
	},
	"pending": func(s *served, query string) {
		s.out.Flags.Or(shm.OutPending)
		<-s.p.flush
		s.out.Flags.And(^uint32(shm.OutPending))
		s.write([]byte("flushed"))
		s.signal()
		time.Sleep(20 * time.Millisecond)
		s.finish(0)
	},
	"exit":      func(s *served, query string) { os.Exit(0) },
	"die":       func(s *served, query string) { die() },
	"die-after": func(s *served, query string) { s.write([]byte("partial")); s.signal(); die() },
	"die-done": func(s *served, query string) { // finished, but nobody was told
		s.write([]byte("done"))
		s.out.Result.Store(shm.Result(s.c.Gen, shm.ResultDone))
		die()
	},
	"die-once": func(s *served, query string) {
		if marker(query) {
			die()
		}
		s.write([]byte("survived"))
		s.finish(0)
	},
	"die-once-partial": func(s *served, query string) {
		if marker(query) {
			s.write([]byte("partial"))
			die()
		}
		s.write([]byte("survived"))
		s.finish(0)
	},
	"babble": func(s *served, query string) {
		unix.Write(fdControl, shm.Bytes(&shm.Msg{Type: 99}))
		time.Sleep(time.Hour)
	},
	"reset-now": func(s *served, query string) { // and goes on as if nothing had happened
		s.write([]byte("never"))
		s.out.Flags.Or(shm.OutReset)
		s.signal()
		for n := number(query); n > 0 && s.write(make([]byte, 700)); n -= 700 {
		}
		for buf := make([]byte, 100); s.read(buf) > 0; {
		}
		s.finish(0)
	},
	"reset-done": func(s *served, query string) {
		s.write([]byte("never"))
		s.out.Flags.Or(shm.OutReset)
		s.finish(0)
	},
	"bad-socket": func(s *served, query string) { s.out.Flags.Or(shm.OutSocketWanted); s.signal(); hang() },
	"deaf":       func(s *served, query string) { unix.Shutdown(fdControl, unix.SHUT_WR); time.Sleep(time.Hour) },
	"bad-start": func(s *served, query string) {
		s.out.OutStart.Store(1 << 30)
		s.out.OutHead.Store(5)
		s.signal()
		hang()
	},
	"bad-head": func(s *served, query string) { s.out.OutHead.Store(1 << 40); s.signal(); hang() },
	"bad-back": func(s *served, query string) {
		s.write([]byte("12345678"))
		s.signal()
		time.Sleep(30 * time.Millisecond)
		s.out.OutHead.Store(3)
		s.signal()
		hang()
	},
	"bad-tail":  func(s *served, query string) { s.out.InTail.Store(1 << 40); s.signal(); hang() },
	"bad-owner": func(s *served, query string) { s.out.Owner.Store(0x1234567800000123); s.signal(); hang() },
	"scribble": func(s *served, query string) {
		seed := number(query)
		if seed == 0 {
			seed = rand.Int()
		}
		s.p.scribble(seed)
		if seed%2 == 0 {
			die()
		}
		s.write([]byte("scribbled"))
		s.finish(0)
	},
}

func hang() { time.Sleep(time.Hour) }

// scribble writes random numbers over all control words of the out segment, for a moment.
func (p *fakeProc) scribble(seed int) {
	h := p.m.Header()
	r := rand.New(rand.NewPCG(uint64(seed), 7))
	var words []*atomic.Uint32
	span := func(at unsafe.Pointer, n uintptr) {
		for i := uintptr(0); i < n; i += 4 {
			words = append(words, (*atomic.Uint32)(unsafe.Add(at, i)))
		}
	}
	for l := range int(h.Loops) {
		out, _ := p.m.OutLoop(l)
		span(unsafe.Pointer(out), uintptr(h.OutLoopStride))
		for c := range min(int(h.Cells), 16) {
			o, _ := p.m.OutCell(l, c)
			span(unsafe.Pointer(o), 64)
		}
	}
	for w := range int(h.Workers) {
		span(unsafe.Pointer(p.m.OutWorker(w)), 64)
	}
	for range 20 * len(words) {
		v := r.Uint32()
		if r.IntN(2) == 0 {
			v &= 0xff
		}
		words[r.IntN(len(words))].Store(v)
	}
}
