package acme

import (
	"context"
	"crypto/x509"
	stdlog "log"
	"log/slog"
	"sync"

	"github.com/caddyserver/certmagic"
)

// Keepers are all keepers of a process.
type Keepers struct {
	log *slog.Logger

	mu  sync.Mutex
	all map[Settings]*Keeper
}

// New makes keepers that log to log. program is how they introduce themselves to authorities.
func New(log *slog.Logger, program string) *Keepers {
	certmagic.UserAgent = program
	stdlog.SetFlags(0)
	stdlog.SetOutput(lines{log})
	return &Keepers{log: log, all: make(map[Settings]*Keeper)}
}

// For returns the keeper with these settings, which is made if there is none. roots are the certificates in the file CARoot, which holds
// from the next call of Keep; nil: there is no such file.
func (s *Keepers) For(settings Settings, roots *x509.CertPool) *Keeper {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.all[settings]
	if k == nil {
		k = newKeeper(settings, roots, s.log, checkEvery)
		s.all[settings] = k
		return k
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.roots = roots
	return k
}

// Only ends what is not used any more: keepers, and domains of keepers.
func (s *Keepers) Only(used map[*Keeper][]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for settings, k := range s.all {
		if domains, ok := used[k]; ok {
			k.drop(domains)
			continue
		}
		k.retire()
		delete(s.all, settings)
	}
}

// list are all keepers.
func (s *Keepers) list() (all []*Keeper) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.all {
		all = append(all, k)
	}
	return all
}

// Retire ends all attempts to obtain or renew certificates: another process has taken over, or this one ends. Challenges are answered
// as before, since the other process may have begun them while this one still accepts connections.
func (s *Keepers) Retire() {
	for _, k := range s.list() {
		k.retire()
	}
}

// Close is Retire, and releases all locks of the process, so that another one need not wait until they are stale. The process ends after that.
// A disk that hangs holds Close up.
func (s *Keepers) Close() {
	all := s.list()
	if len(all) == 0 {
		return
	}
	s.Retire()
	certmagic.CleanUpOwnLocks(context.Background(), all[0].zapLogger())
}

// keeping returns the keeper of a host's certificate, or nil.
func (s *Keepers) keeping(host string) *Keeper {
	for _, k := range s.list() {
		if k.keeps(host) {
			return k
		}
	}
	return nil
}

func (k *Keeper) keeps(host string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.domains[host] != nil
}
