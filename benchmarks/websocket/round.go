package main

import (
	"bytes"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"moonbridge/handler/websocket/wstest"
)

// round measures one server for a while.
func round(o *options, t target) (perSecond float64, err error) {
	var all []*client
	for range o.connections {
		c, err := open(o, t)
		if err != nil {
			return 0, err
		}
		defer c.conn.Conn.Close()
		all = append(all, c)
	}
	var messages atomic.Int64
	end := time.Now().Add(o.duration)
	failed := make(chan error, len(all))
	for _, c := range all {
		go func() { failed <- c.run(end, &messages) }()
	}
	for range all {
		if e := <-failed; e != nil {
			err = e
		}
	}
	return float64(messages.Load()) / o.duration.Seconds(), err
}

// client is a connection that sends the same messages again and again.
type client struct {
	conn     *wstest.Client
	burst    []byte // masked frames
	answer   []byte // unmasked frames
	got      []byte
	messages int
}

func open(o *options, t target) (*client, error) {
	raw, err := t.dial()
	if err != nil {
		return nil, err
	}
	conn, err := wstest.Open(raw, t.url.RequestURI(), "")
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, messages: o.pipeline}
	payload := bytes.Repeat([]byte("m"), o.size)
	for range o.pipeline {
		f := wstest.Frame{Bits: wstest.Fin, Opcode: wstest.Text, Payload: payload}
		c.burst = f.Append(c.burst)
		c.answer = f.AppendUnmasked(c.answer)
	}
	c.got = make([]byte, len(c.answer))
	return c, nil
}

// run sends until end, and checks the answers.
func (c *client) run(end time.Time, messages *atomic.Int64) error {
	raw := c.conn.Conn
	raw.SetDeadline(end.Add(10 * time.Second))
	for time.Now().Before(end) {
		if _, err := raw.Write(c.burst); err != nil {
			return err
		}
		if _, err := io.ReadFull(raw, c.got); err != nil {
			return err
		}
		if !bytes.Equal(c.got, c.answer) {
			return fmt.Errorf("the echo is %.80q", c.got)
		}
		messages.Add(int64(c.messages))
	}
	return nil
}
