package pool

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
)

func die() {
	unix.Kill(os.Getpid(), unix.SIGKILL)
	time.Sleep(time.Hour)
}

func awaitFile(name string) {
	for {
		if _, err := os.Stat(name); err == nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
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
		awaitFile(query)
		s.write([]byte("held"))
		s.finish(0)
	},
	"until-gone": func(s *served, query string) { // until its client has gone
		s.out.Flags.Or(shm.OutPending) // visible: it has begun
		s.signal()
		<-s.p.gone
		s.finish(shm.ResultClose | 499<<shm.ResultStatusShift)
	},
	"peer": func(s *served, query string) { // says what it is told of its client
		if query != "" {
			awaitFile(query)
		}
		s.write([]byte(fmt.Sprintf("ended %v, told %d times", s.in.Flags.Load()&shm.InPeerEnd != 0, len(s.p.gone))))
		s.finish(0)
	},
	"finish": func(s *served, query string) { // and works on until there is a file of this name
		s.write([]byte("finished"))
		s.complete(0)
		awaitFile(query)
		s.finish(0)
	},
	"finish-close": func(s *served, query string) {
		s.write([]byte("finished"))
		s.complete(shm.OutClose)
		awaitFile(query)
		s.finish(shm.ResultClose)
	},
	"finish-die": func(s *served, query string) { // of a file of this name
		s.write([]byte("finished"))
		s.complete(0)
		awaitFile(query)
		die()
	},
	"finish-die-at-once": func(s *served, query string) { // without telling the loop
		s.write([]byte("finished"))
		s.out.Flags.Or(shm.OutComplete)
		die()
	},
	"finish-reset": func(s *served, query string) { // resets what is not its own any more
		s.write([]byte("finished"))
		s.complete(0)
		awaitFile(query)
		s.out.Flags.Or(shm.OutReset)
		s.signal()
		s.write([]byte("more"))
		s.finish(shm.ResultReset)
	},
	"finish-read": func(s *served, query string) { // and then reads its body, into a file of this name
		s.write([]byte("finished"))
		s.complete(0)
		awaitFile(query)
		var all []byte
		buf := make([]byte, 1000)
		for n := s.read(buf); n > 0; n = s.read(buf) {
			all = append(all, buf[:n]...)
		}
		os.WriteFile(query+".body", fmt.Appendf(all, " aborted: %v", s.in.Flags.Load()&shm.InAbort != 0), 0o600)
		s.finish(0)
	},
	"finish-write": func(s *served, query string) { // like a handler of HEAD that writes until its client is gone
		s.write([]byte("finished"))
		s.complete(0)
		for gone := func() bool { return s.in.Flags.Load()&shm.InCancel != 0 }; !gone(); {
			s.p.sleep(gone)
		}
		s.finish(0)
	},
	"finish-nothing": func(s *served, query string) { s.complete(0); hang() },
	"meet": func(s *served, query string) { // waits until a number of exchanges have come to a folder: "number,folder"
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
	"hinted": func(s *served, query string) {
		s.write([]byte("hints"))
		s.finish(uint32(number(query)) << shm.ResultStatusShift)
	},
	"reset": func(s *served, query string) { s.write([]byte("par")); s.finish(shm.ResultReset) },
	"pid":   func(s *served, query string) { s.write([]byte(strconv.Itoa(os.Getpid()))); s.finish(0) },
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
	"spawn": func(s *served, query string) { // starts a process that lives on, and says which one
		cmd := exec.Command("sleep", "1000")
		if err := cmd.Start(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		s.write([]byte(strconv.Itoa(cmd.Process.Pid)))
		s.finish(0)
	},
	"fail": func(s *served, query string) { // raises an error
		os.Stderr.WriteString("about to fail\n")
		s.reportFailure()
		s.finish(shm.ResultFailed | 500<<shm.ResultStatusShift)
	},
	"fail-late": func(s *served, query string) { // reports it when there is a file of this name
		s.finish(shm.ResultFailed | 500<<shm.ResultStatusShift)
		awaitFile(query)
		s.reportFailure()
	},
	"fail-die": func(s *served, query string) { // reports nothing
		s.finish(shm.ResultFailed | 500<<shm.ResultStatusShift)
		die()
	},
	"read-die": func(s *served, query string) { // when it has read all
		s.out.Flags.Or(shm.OutBodyWanted)
		s.signal()
		for buf := make([]byte, 1000); s.read(buf) > 0; {
		}
		die()
	},
	"exit":      func(s *served, query string) { os.Exit(0) },
	"die":       func(s *served, query string) { die() },
	"die-after": func(s *served, query string) { s.write([]byte("partial")); s.signal(); die() },
	"die-done": func(s *served, query string) { // finished, but without telling the loop
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
	"not-started": func(s *served, query string) { // says so again and again
		m := append(shm.Bytes(&shm.Msg{Type: shm.MsgWorkerFailed, Len: 5}), "never"...)
		for range 100 {
			unix.Write(fdControl, m)
		}
		die()
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
	"bad-socket": func(s *served, query string) { s.out.Flags.Or(shm.OutDescriptorWanted); s.signal(); hang() },
	"hang-up":    func(s *served, query string) { unix.Shutdown(fdControl, unix.SHUT_WR); time.Sleep(time.Hour) },
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
		for s.in.OutTail.Load() != 8 { // until it was read
			time.Sleep(time.Millisecond)
		}
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
