package pool

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
)

// The number of the listener says what the fake worker does with a raw connection before it asks for the socket. The peer
// says, line by line, what it does with the socket.
const (
	rawAsk         = iota // asks at once
	rawDie                // dies
	rawDieAsking          // dies when it has asked
	rawDone               // finishes without the socket
	rawFailed             // the same, with a reset
	rawOutput             // writes output, which it must not have
	rawHangOnce           // the first one never asks; the script names a file for that
	rawHang               // never asks
	rawKeepsAsking        // as if it had not got the socket
)

func (s *served) raw() {
	switch s.head.Listener {
	case rawDie:
		die()
	case rawDieAsking:
		// The loop may or may not see it at work before it hears of its end.
		s.out.Flags.Or(shm.OutDescriptorWanted)
		die()
	case rawDone:
		s.finish(0)
		return
	case rawFailed:
		s.finish(shm.ResultReset)
		return
	case rawOutput:
		s.write(make([]byte, 3*len(s.ow)))
	case rawHang:
		hang()
	case rawHangOnce:
		if script := os.Getenv(scriptEnv); marker(script[strings.Index(script, "/"):]) {
			hang()
		}
	}
	f := s.socket()
	result := uint32(shm.ResultClose | 503<<shm.ResultStatusShift) // says nothing, in a raw connection
	for lines := bufio.NewScanner(f); lines.Scan(); {
		word, arg, _ := strings.Cut(lines.Text(), " ")
		switch word {
		case "addrs":
			l, r := &s.head.Local, &s.head.Remote
			fmt.Fprintln(f, s.head.Listener, s.head.RawLen, l.Family, l.IP[:], l.Port, r.Family, r.IP[:], r.Port)
		case "pid":
			fmt.Fprintln(f, os.Getpid())
		case "die":
			die()
		case "again": // until the loop has noticed
			for {
				s.out.Flags.And(^uint32(shm.OutDescriptorWanted))
				s.signal()
				time.Sleep(30 * time.Millisecond)
				s.out.Flags.Or(shm.OutDescriptorWanted)
				s.signal()
				time.Sleep(30 * time.Millisecond)
			}
		case "settle":
			s.out.Flags.And(^uint32(shm.OutDescriptorWanted))
			s.signal()
			fmt.Fprintln(f, "settled")
		case "fail": // as a handler that has raised an error
			unix.SetsockoptLinger(int(f.Fd()), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
			f.Close()
			s.finish(shm.ResultRetire)
			os.Exit(0)
		case "orders": // waits until it was told twice to end the input
			<-s.p.ends
			<-s.p.ends
			fmt.Fprintln(f, "ordered")
		case "sleep":
			time.Sleep(time.Duration(number(arg)) * time.Millisecond)
		default:
			fmt.Fprintln(f, lines.Text())
		}
	}
	f.Close()
	s.finish(result)
}

// socket asks for the connection's socket.
func (s *served) socket() *os.File {
	s.out.Flags.Or(shm.OutDescriptorWanted)
	s.signal()
	fd := <-s.p.socks
	if s.head.Listener != rawKeepsAsking {
		s.out.Flags.And(^uint32(shm.OutDescriptorWanted))
	}
	return os.NewFile(uintptr(fd), "socket "+strconv.Itoa(fd)) // non-blocking, as it was created
}
