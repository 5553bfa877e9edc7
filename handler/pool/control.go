package pool

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
)

// controlTimeout bounds the wait for room in a control socket's buffer. Many messages fit into it, so a process that does
// not read for that long hangs. A variable for tests.
var controlTimeout = 5 * time.Second

var errMessage = errors.New("malformed message")

// writeMsg sends a message, with descriptors if there are some.
func writeMsg(c *net.UnixConn, typ uint32, body []byte, fds ...int) error {
	m := append(shm.Bytes(&shm.Msg{Type: typ, Len: uint32(len(body))}), body...)
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	if err := c.SetWriteDeadline(time.Now().Add(controlTimeout)); err != nil {
		return err
	}
	n, _, err := c.WriteMsgUnix(m, rights, nil)
	if err == nil && n < len(m) {
		_, err = c.Write(m[n:])
	}
	return err
}

// readMsg receives a message. body is valid until the next call with the same buf. A connection that ends in the middle of a message
// gives its own error, not errMessage: the other process may have ended or given up there.
func readMsg(c io.Reader, buf *[]byte) (typ uint32, body []byte, err error) {
	var m shm.Msg
	if _, err := io.ReadFull(c, shm.Bytes(&m)); err != nil {
		return 0, nil, err
	}
	if m.Len > shm.MsgMax {
		return 0, nil, fmt.Errorf("%w: %d bytes", errMessage, m.Len)
	}
	if cap(*buf) < int(m.Len) {
		*buf = make([]byte, m.Len)
	}
	body = (*buf)[:m.Len]
	if _, err = io.ReadFull(c, body); err != nil {
		return 0, nil, err
	}
	return m.Type, body, nil
}

// as reads the body of a message of fixed size.
func as[T any](body []byte) (t T, err error) {
	if len(body) != int(unsafe.Sizeof(t)) {
		return t, fmt.Errorf("%w: %d bytes", errMessage, len(body))
	}
	copy(shm.Bytes(&t), body)
	return t, nil
}

// give reads the body of a message of fixed size, and passes it on.
func give[T any](body []byte, to func(T)) error {
	t, err := as[T](body)
	if err == nil {
		to(t)
	}
	return err
}

// controlPair makes a control socket: our end, and the one for the other process, which blocks.
func controlPair() (ours *net.UnixConn, theirs *os.File, err error) {
	a, b, err := shm.SocketPair()
	if err != nil {
		return nil, nil, err
	}
	theirs = os.NewFile(uintptr(b), "control")
	f := os.NewFile(uintptr(a), "control")
	c, err := net.FileConn(f) // has a duplicate
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("control socket: %w", err), theirs.Close())
	}
	return c.(*net.UnixConn), theirs, nil
}

// logPipe makes a pipe for standard error: our end, and the one for the other process, which blocks: a program does not
// expect EAGAIN there.
func logPipe() (ours, theirs *os.File, err error) {
	r, w, err := shm.Pipe()
	if err != nil {
		return nil, nil, err
	}
	if err := unix.SetNonblock(r, true); err != nil { // so that Close ends a Read
		return nil, nil, errors.Join(fmt.Errorf("pipe: %w", err), unix.Close(r), unix.Close(w))
	}
	return os.NewFile(uintptr(r), "stderr"), os.NewFile(uintptr(w), "stderr"), nil
}
