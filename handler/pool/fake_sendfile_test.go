package pool

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/backend"
	"moonbridge/handler/shm"
)

// OutputFile takes a range of a file, and releases the file in a later turn.
func (q *request) OutputFile(f backend.SentFile, offset, n int64, last bool) {
	q.use()
	b := make([]byte, n)
	if k, err := unix.Pread(f.Fd(), b, offset); int64(k) != n || err != nil {
		q.t.Errorf("%s: read %d bytes of %d, %v", q.target, k, n, err)
	}
	q.got.out += string(b)
	q.l.Post(f.Release)
}

// OutputJoined takes a head and a range together.
func (q *request) OutputJoined(a []byte, f backend.SentFile, offset, n int64, last bool) int {
	taken := q.Output(a, nil, false)
	if taken == len(a) {
		q.joined++
		q.OutputFile(f, offset, n, last)
	}
	return taken
}

// fileBody is a body with two parts of a file.
func (s *served) fileBody() *shm.FileBody {
	return &shm.FileBody{Loop: uint32(s.c.Loop), Cell: uint32(s.c.Cell), Gen: uint32(s.c.Gen), Closing: []byte("]"), Parts: []shm.FilePart{
		{Before: []byte("["), Offset: 10, Length: 100}, {Before: []byte("]["), Offset: 1000, Length: 2000}}}
}

// passFile sends a message with descriptors of a file.
func passFile(message []byte, typ uint32, fds ...int) {
	header := shm.Bytes(&shm.Msg{Type: typ, Len: uint32(len(message))})
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	unix.Sendmsg(fdControl, header, rights, nil, 0)
	unix.Write(fdControl, message)
}

// sendFile hands over the file, and completes the response.
func (s *served) sendFile(name string) {
	f, _ := os.Open(name)
	passFile(s.fileBody().Append(nil), shm.MsgFile, int(f.Fd()))
	f.Close()
	s.publishHead()
}

func (s *served) publishHead() {
	s.out.Flags.Or(shm.OutFile)
	s.write([]byte("head "))
	s.complete(0)
}

// fileBehaviours are ways to send a file, right and wrong. The query is its name.
func init() {
	behaviours["sends"] = func(s *served, name string) { s.sendFile(name); s.finish(0) }
	behaviours["sends-range"] = func(s *served, name string) { // without text around it
		f, _ := os.Open(name)
		b := s.fileBody()
		b.Closing, b.Parts = nil, []shm.FilePart{{Offset: 10, Length: 100}}
		passFile(b.Append(nil), shm.MsgFile, int(f.Fd()))
		f.Close()
		s.publishHead()
		s.finish(0)
	}
	behaviours["sends-late"] = func(s *served, name string) { // the message comes after the head
		s.publishHead()
		s.finish(0)
		time.Sleep(30 * time.Millisecond)
		f, _ := os.Open(name)
		passFile(s.fileBody().Append(nil), shm.MsgFile, int(f.Fd()))
		f.Close()
	}
	behaviours["sends-holds"] = func(s *served, name string) { // the handler goes on
		s.sendFile(name)
		awaitFile(name + ".go")
		s.finish(0)
	}
	behaviours["sends-dies"] = func(s *served, name string) { s.sendFile(name); die() }
	behaviours["sends-half-dies"] = func(s *served, name string) { // between the message and the head
		if marker(name + ".once") {
			f, _ := os.Open(name)
			passFile(s.fileBody().Append(nil), shm.MsgFile, int(f.Fd()))
			die()
		}
		s.sendFile(name)
		s.finish(0)
	}
	behaviours["sends-torn"] = func(s *served, name string) { // within the message
		f, _ := os.Open(name)
		message := s.fileBody().Append(nil)
		unix.Sendmsg(fdControl, shm.Bytes(&shm.Msg{Type: shm.MsgFile, Len: uint32(len(message))}), unix.UnixRights(int(f.Fd())), nil, 0)
		unix.Write(fdControl, message[:10])
		die()
	}
	behaviours["sends-nothing"] = func(s *served, name string) { s.publishHead(); s.finish(0) }
	behaviours["sends-nothing-holds"] = func(s *served, name string) { s.publishHead(); hang() }
	behaviours["sends-no-fd"] = func(s *served, name string) {
		passFile(s.fileBody().Append(nil), shm.MsgFile)
		s.publishHead()
		s.finish(0)
	}
	wrong := func(name string, do func(s *served, file int)) {
		behaviours["sends-"+name] = func(s *served, name string) {
			f, _ := os.Open(name)
			do(s, int(f.Fd()))
			hang()
		}
	}
	wrong("two-fds", func(s *served, file int) { passFile(s.fileBody().Append(nil), shm.MsgFile, file, file) })
	wrong("many-fds", func(s *served, file int) {
		passFile(s.fileBody().Append(nil), shm.MsgFile, file, file, file, file, file, file, file, file)
	})
	wrong("piecemeal", func(s *served, file int) { // a message that does not end, with descriptors at each byte
		unix.Write(fdControl, shm.Bytes(&shm.Msg{Type: shm.MsgFile, Len: 1000}))
		for range 100 {
			unix.Sendmsg(fdControl, []byte{0}, unix.UnixRights(file, file, file, file), nil, 0)
		}
	})
	wrong("a-directory", func(s *served, file int) {
		d, _ := os.Open("/")
		passFile(s.fileBody().Append(nil), shm.MsgFile, int(d.Fd()))
	})
	wrong("a-pipe", func(s *served, file int) {
		r, _, _ := os.Pipe()
		passFile(s.fileBody().Append(nil), shm.MsgFile, int(r.Fd()))
	})
	wrong("nonsense", func(s *served, file int) { passFile([]byte("nonsense"), shm.MsgFile, file) })
	wrong("negative", func(s *served, file int) {
		b := s.fileBody()
		b.Parts[0].Offset = -1
		passFile(b.Append(nil), shm.MsgFile, file)
	})
	wrong("no-such-loop", func(s *served, file int) {
		b := s.fileBody()
		b.Loop = 1000
		passFile(b.Append(nil), shm.MsgFile, file)
	})
	wrong("unasked", func(s *served, file int) { passFile([]byte("text"), shm.MsgWorkerFailed, file) })
	behaviours["sends-flood"] = func(s *served, name string) { // to an exchange that is not its own
		f, _ := os.Open(name)
		awaitFile(name + ".go")
		b := s.fileBody()
		b.Gen++
		for range 3 * filesPostedMax {
			passFile(b.Append(nil), shm.MsgFile, int(f.Fd()))
		}
		s.finish(0)
	}
	behaviours["sends-elsewhere"] = func(s *served, name string) { // to exchanges that are not its own
		f, _ := os.Open(name)
		for _, change := range []func(b *shm.FileBody){
			func(b *shm.FileBody) { b.Gen++ }, func(b *shm.FileBody) { b.Cell++ }, func(b *shm.FileBody) { b.Cell = 1 << 31 },
		} {
			b := s.fileBody()
			change(b)
			passFile(b.Append(nil), shm.MsgFile, int(f.Fd()))
		}
		s.sendFile(name)
		passFile(s.fileBody().Append(nil), shm.MsgFile, int(f.Fd())) // once more
		s.finish(0)
	}
}

// sentText is what sendFile sends.
func sentText(content string) string {
	return "head [" + content[10:110] + "][" + content[1000:3000] + "]"
}

// isNotOpen waits until this process has no descriptor of a file.
func isNotOpen(t *testing.T, name string) {
	t.Helper()
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("the system does not tell what is open")
	}
	eventually(t, "the file is closed", func() bool {
		list, err := os.ReadDir("/proc/self/fd")
		for _, e := range list {
			if target, _ := os.Readlink(fmt.Sprint("/proc/self/fd/", e.Name())); strings.HasPrefix(target, name) {
				return false
			}
		}
		return err == nil
	})
}
