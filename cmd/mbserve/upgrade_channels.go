package main

import (
	"context"
	"io"
	"net"
	"os"
	"time"

	"moonbridge/handler/shm"
)

// channelsTimeout is how long a process that takes over waits for the histories of channels.
const channelsTimeout = 10 * time.Second

// connectChannels passes one end of a socket pair, through which the new process will ask for the channels when it is about to serve.
func (u *upgrade) connectChannels(pass *passing) error {
	ours, theirs, err := shm.SocketPair()
	if err != nil {
		return err
	}
	pass.give("channels", os.NewFile(uintptr(theirs), "channels"))
	u.channels, err = fileConn(os.NewFile(uintptr(ours), "channels"))
	return err
}

// fileConn makes a connection of a file, which it closes.
func fileConn(f *os.File) (net.Conn, error) {
	defer f.Close()
	return net.FileConn(f)
}

// handOverChannels passes on the channels, when the new process asks for them, and then what is published here.
func (s *server) handOverChannels(u *upgrade) {
	defer close(u.handed)
	if _, err := io.ReadFull(u.channels, make([]byte, 1)); err != nil {
		u.channels.Close()
		return // it did not get so far, or is an older program
	}
	s.channels.HandOver(u.channels)
}

// endChannels waits until the new process has what was published here.
func (s *server) endChannels(ctx context.Context) {
	s.channels.Close()
	if s.handing == nil {
		return
	}
	select {
	case <-s.handing:
	case <-ctx.Done():
	}
}

// takeOverChannels takes the channels of the old process, with the ids that its clients have. If that fails, they begin empty, and
// clients that come back are told that messages may be lost.
func (s *server) takeOverChannels() {
	if s.heir == nil || s.heir.channels == nil {
		return
	}
	conn, err := fileConn(s.heir.channels)
	if err != nil {
		s.log.Warn("channels begin empty", "err", err)
		return
	}
	conn.SetDeadline(time.Now().Add(channelsTimeout))
	if _, err = conn.Write([]byte{0}); err == nil {
		var follow func() error
		if follow, err = s.channels.TakeOver(conn); err == nil {
			conn.SetDeadline(time.Time{})
			go func() {
				defer conn.Close()
				follow()
			}()
			return
		}
	}
	conn.Close()
	s.log.Warn("channels begin empty", "err", err)
}
