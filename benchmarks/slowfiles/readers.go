package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"moonbridge/benchmarks/internal/probe"
	"moonbridge/benchmarks/internal/servers"
)

const (
	readerBuffer  = 4096 // of the kernel, which doubles it
	readerBytes   = 1000 // that a reader takes every readerPause
	readerPause   = time.Second
	readerTimeout = 30 * time.Second
)

// readers are slow clients.
type readers struct {
	conns []net.Conn
	bytes atomic.Int64 // taken since the heads of the answers
	lost  atomic.Int64 // connections that the server has ended
	wait  sync.WaitGroup
}

// startReaders connects n readers, each of which has read the head of its answer.
func startReaders(ctx context.Context, address string, n int) (*readers, error) {
	r := &readers{}
	for i := range n {
		if err := r.add(ctx, address); err != nil {
			r.stop()
			return nil, fmt.Errorf("reader %d: %w", i+1, err)
		}
	}
	return r, nil
}

func (r *readers) add(ctx context.Context, address string) error {
	dialer := net.Dialer{Timeout: readerTimeout, Control: smallBuffer}
	conn, err := dialer.DialContext(ctx, "tcp4", address)
	if err != nil {
		return err
	}
	r.conns = append(r.conns, conn)
	conn.SetDeadline(time.Now().Add(readerTimeout))
	if _, err := conn.Write(probe.Request("GET", address, servers.HugePath, nil)); err != nil {
		return err
	}
	from := bufio.NewReaderSize(conn, 1024)
	if err := readHead(from); err != nil {
		return err
	}
	conn.SetDeadline(time.Time{})
	r.wait.Go(func() { r.read(conn) })
	return nil
}

// smallBuffer makes the receive buffer small before the connection announces it.
func smallBuffer(_, _ string, raw syscall.RawConn) (err error) {
	outer := raw.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, readerBuffer)
	})
	return errors.Join(outer, err)
}

// readHead reads the head of an answer with the whole file.
func readHead(from *bufio.Reader) error {
	length := fmt.Sprintf("Content-Length: %d\r\n", servers.HugeBytes)
	status, found := "", false
	for {
		line, err := from.ReadString('\n')
		switch {
		case err != nil:
			return fmt.Errorf("reading the head: %w", err)
		case status == "":
			status = line
		case line == length:
			found = true
		}
		if line == "\r\n" {
			break
		}
	}
	if status != "HTTP/1.1 200 OK\r\n" || !found {
		return fmt.Errorf("answered %q, not with the file", status)
	}
	return nil
}

// read takes a little at a time until the connection ends.
func (r *readers) read(conn net.Conn) {
	buffer := make([]byte, readerBytes)
	for {
		n, err := conn.Read(buffer)
		r.bytes.Add(int64(n))
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				r.lost.Add(1)
			}
			return
		}
		time.Sleep(readerPause)
	}
}

// stop ends all connections.
func (r *readers) stop() {
	for _, conn := range r.conns {
		conn.Close()
	}
	r.wait.Wait()
}
