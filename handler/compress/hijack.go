package compress

import (
	"errors"
	"net"

	"moonbridge/handler/backend"
)

// Upgrade passes on that of backend.Upgrader.
func (e *exchange) Upgrade(head []byte, p backend.Protocol, b backend.Bounds) error {
	x, can := e.x.(interface {
		Upgrade(head []byte, p backend.Protocol, b backend.Bounds) error
	})
	if !can || e.state != stateHead || len(e.head)+len(e.unsent) > 0 {
		return errors.ErrUnsupported
	}
	err := x.Upgrade(head, p, b)
	if err == nil {
		e.inner, e.state = innerEnded, stateOver
		e.release()
	}
	return err
}

// Hijack passes on that of backend.Upgrader: a connection that leaves HTTP is not compressed.
func (e *exchange) Hijack(head []byte) (net.Conn, error) {
	x, can := e.x.(interface {
		Hijack(head []byte) (net.Conn, error)
	})
	if !can || e.state != stateHead || len(e.head)+len(e.unsent) > 0 {
		return nil, errors.ErrUnsupported
	}
	conn, err := x.Hijack(head)
	if err == nil {
		e.inner, e.state = innerEnded, stateOver
		e.release()
	}
	return conn, err
}
