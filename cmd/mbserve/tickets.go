package main

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"io"
	"os"
	"slices"
	"sync"
	"time"
)

const (
	// ticketKeyEvery is how often there is a new key for session tickets. Old ones are kept for a while, so a ticket can be used for
	// at least twice that time.
	ticketKeyEvery = 86400 * time.Second
	// ticketKeys is how many keys there are.
	ticketKeys = 3
)

// tickets are the keys of TLS session tickets. All listeners use them, before and after a reload, and the process that takes over
// gets them, so clients can resume their sessions. Keys are kept in memory only.
type tickets struct {
	mu   sync.Mutex
	keys [][32]byte             // the first is for new tickets
	used map[*tls.Config][]byte // what makes the keys of a configuration its own
}

// newTickets takes over the keys of another process, if from is not nil.
func newTickets(from *os.File) *tickets {
	t := &tickets{used: make(map[*tls.Config][]byte)}
	if from != nil {
		defer from.Close()
		for len(t.keys) < ticketKeys {
			var key [32]byte
			if _, err := io.ReadFull(from, key[:]); err != nil {
				break
			}
			t.keys = append(t.keys, key)
		}
	}
	if len(t.keys) == 0 {
		t.rotate()
	}
	return t
}

// rotateAlways makes new keys for as long as the process lives.
func (t *tickets) rotateAlways() {
	for range time.Tick(ticketKeyEvery) {
		t.rotate()
	}
}

// rotate makes a new key the first one.
func (t *tickets) rotate() {
	var key [32]byte
	rand.Read(key[:])
	t.mu.Lock()
	defer t.mu.Unlock()
	t.keys = slices.Insert(t.keys, 0, key)
	t.keys = t.keys[:min(len(t.keys), ticketKeys)]
	for config, own := range t.used {
		config.SetSessionTicketKeys(t.derive(own))
	}
}

// use gives a configuration its keys. own are the certificates that those of its clients are checked with: a session with a client
// that was checked in one way is not resumed where another way holds.
func (t *tickets) use(config *tls.Config, own []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.used[config] = own
	config.SetSessionTicketKeys(t.derive(own))
}

// derive makes the keys of a configuration. Under mu.
func (t *tickets) derive(own []byte) (keys [][32]byte) {
	sum := sha256.Sum256(own)
	for _, k := range t.keys {
		key, err := hkdf.Expand(sha256.New, k[:], "moonbridge session tickets"+string(sum[:]), len(k))
		if err != nil {
			panic(err) // the length is right
		}
		keys = append(keys, [32]byte(key))
	}
	return keys
}

// forget forgets configurations that are not used any more.
func (t *tickets) forget(configs []*tls.Config) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range configs {
		delete(t.used, c)
	}
}

// pass returns a pipe from which another process can read the keys.
func (t *tickets) pass() (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, key := range t.keys {
		w.Write(key[:]) // few enough bytes for any pipe
	}
	return r, nil
}
