package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"moonbridge/engine"
)

func TestTicketKeys(t *testing.T) {
	k := newTickets(nil)
	passed, err := k.pass()
	if err != nil {
		t.Fatal(err)
	}
	if other := newTickets(passed); fmt.Sprint(other.keys) != fmt.Sprint(k.keys) {
		t.Error("other keys arrive than were passed")
	}
	first := k.keys[0]
	for range ticketKeys - 1 {
		k.rotate()
	}
	if len(k.keys) != ticketKeys || k.keys[ticketKeys-1] != first {
		t.Error("the first key is not kept for old tickets")
	}
	if k.rotate(); len(k.keys) != ticketKeys || k.keys[ticketKeys-1] == first {
		t.Error("the first key is kept for too long")
	}
	if k.derive(nil)[0] == k.derive([]byte("clients"))[0] || k.derive(nil)[0] == k.keys[0] {
		t.Error("listeners with other client certificates have the same keys")
	}
}

// A key ends in time although the process is replaced before that, again and again.
func TestTicketKeysAge(t *testing.T) {
	const left = ticketKeyEvery / 24
	k := newTickets(nil)
	for range ticketKeys { // as many as there can be
		k.rotate()
	}
	k.made = time.Now().Add(left - ticketKeyEvery)
	for range 3 {
		passed, err := k.pass()
		if err != nil {
			t.Fatal(err)
		}
		other := newTickets(passed)
		if due := other.untilDue(); due > left || due < left-time.Hour/2 {
			t.Errorf("the next key is made in %v, want %v", due, left)
		}
		if fmt.Sprint(other.keys) != fmt.Sprint(k.keys) {
			t.Error("other keys arrive than were passed")
		}
		k = other
	}
	if k.rotate(); k.untilDue() < ticketKeyEvery-time.Hour {
		t.Error("a new key is as old as the one before")
	}

	// A process that does not tell the age.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	w.Write(k.keys[0][:])
	w.Close()
	if k := newTickets(r); len(k.keys) != 1 || k.untilDue() < ticketKeyEvery-time.Hour {
		t.Errorf("%d keys, the next one in %v", len(k.keys), k.untilDue())
	}
}

// firstSession keeps the first session that a client is given, and no later one.
type firstSession struct{ state *tls.ClientSessionState }

func (s *firstSession) Get(string) (*tls.ClientSessionState, bool) { return s.state, s.state != nil }

func (s *firstSession) Put(_ string, state *tls.ClientSessionState) {
	if s.state == nil {
		s.state = state
	}
}

// Configurations that are in use get the new keys: a session is resumed as long as its key is there, and not for longer.
func TestTicketKeysInUse(t *testing.T) {
	dir := t.TempDir()
	certificateFiles(t, dir, "a", "a.test")
	pair, err := tls.LoadX509KeyPair(dir+"/a.pem", dir+"/a-key.pem")
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		k := newTickets(nil)
		config := &tls.Config{Certificates: []tls.Certificate{pair}}
		k.use(config, nil)
		client := &tls.Config{ServerName: "a.test", InsecureSkipVerify: true, MaxVersion: version, ClientSessionCache: &firstSession{}}
		resumed := func() bool {
			a, b := net.Pipe()
			defer a.Close()
			defer b.Close()
			go func() {
				server := tls.Server(b, config)
				server.Write([]byte("x"))
			}()
			c := tls.Client(a, client)
			c.SetDeadline(time.Now().Add(patience))
			if _, err := c.Read(make([]byte, 1)); err != nil { // with TLS 1.3, the ticket comes before it
				t.Fatal(err)
			}
			return c.ConnectionState().DidResume
		}
		if resumed() {
			t.Error("resumed at first")
		}
		for i := range ticketKeys {
			if !resumed() {
				t.Errorf("not resumed with %d newer keys", i)
			}
			k.rotate()
		}
		if resumed() {
			t.Error("resumed although the key is gone")
		}
	}
}

// A script that fails after it has called listen leaves no configuration that gets new keys for ever.
func TestTicketKeysOfFailedLoad(t *testing.T) {
	dir := t.TempDir()
	certificateFiles(t, dir, "a", "a.test")
	e, err := engine.New(engine.Options{Loops: 1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Shutdown(context.Background())
	script := filepath.Join(dir, "main.lua")
	text := fmt.Sprintf(`
listen{ { proto = "tcp4", port = 0, localhost = true, tls = { cert = %q, key = %q } }, connect = function() end }
error("on purpose")
`, dir+"/a.pem", dir+"/a-key.pem")
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newServer(&options{script: script})
	s.tickets, s.inherited, s.engine, s.log = newTickets(nil), new(inherited), e, slog.New(slog.DiscardHandler)
	s.dir = findWorkDir()
	if _, err := s.load(t.Context()); err == nil {
		t.Fatal("the script was loaded")
	}
	if len(s.tickets.used) != 0 || len(s.addresses) != 0 {
		t.Errorf("%d configurations and %d addresses are left", len(s.tickets.used), len(s.addresses))
	}
}
