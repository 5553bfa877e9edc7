package main

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
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
	made time.Time              // when that was made, by whichever process
	used map[*tls.Config][]byte // what makes the keys of a configuration its own
}

// newTickets takes over the keys of another process, if from is not nil.
func newTickets(from *os.File) *tickets {
	t := &tickets{made: time.Now(), used: make(map[*tls.Config][]byte)}
	if from != nil {
		t.takeOver(from)
	}
	if len(t.keys) == 0 {
		t.rotate()
	}
	return t
}

// ageBytes is how many bytes follow the keys: the age of the first one, in milliseconds. It cannot be taken for a key. Without it, a
// server that is replaced every day would never make a new key.
const ageBytes = 8

// takeOver reads what pass has written. A process of an older version may have left out the age.
func (t *tickets) takeOver(from *os.File) {
	defer from.Close()
	all, _ := io.ReadAll(io.LimitReader(from, ticketKeys*int64(len([32]byte{}))+ageBytes))
	for len(all) >= len([32]byte{}) {
		t.keys = append(t.keys, [32]byte(all))
		all = all[len([32]byte{}):]
	}
	if len(all) == ageBytes {
		age := time.Duration(binary.LittleEndian.Uint64(all)) * time.Millisecond
		t.made = t.made.Add(-min(max(age, 0), ticketKeyEvery))
	}
}

// rotateAlways makes new keys for as long as the process lives.
func (t *tickets) rotateAlways() {
	for {
		time.Sleep(t.untilDue())
		t.rotate()
	}
}

// untilDue is how long the first key is still good for new tickets.
func (t *tickets) untilDue() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return ticketKeyEvery - time.Since(t.made)
}

// rotate makes a new key the first one.
func (t *tickets) rotate() {
	var key [32]byte
	rand.Read(key[:])
	t.mu.Lock()
	defer t.mu.Unlock()
	t.keys = slices.Insert(t.keys, 0, key)
	t.keys = t.keys[:min(len(t.keys), ticketKeys)]
	t.made = time.Now()
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

// pass returns a pipe from which another process can read the keys, and how old the first one is.
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
	w.Write(binary.LittleEndian.AppendUint64(nil, uint64(time.Since(t.made).Milliseconds())))
	return r, nil
}
