package acme

import (
	"context"
	"crypto/x509"
	"errors"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
)

// Ports are where the server listens, for an authority that connects to ports 443 and 80 of a domain. Something before the server may
// lead those to other ports.
type Ports struct {
	Host string // the only address; "": all
	TLS  int
	HTTP int // without TLS; 0: none
}

// Keeper keeps the certificates of one authority in one directory.
type Keeper struct {
	// Immutable.
	settings Settings
	log      *slog.Logger
	cache    *certmagic.Cache
	config   atomic.Pointer[certmagic.Config] // the latest one

	mu      sync.Mutex
	roots   *x509.CertPool // of CARoot, for the next configuration; nil: those of the system
	domains map[string]*domain
	loaded  map[string]struct{} // domains whose certificates were looked for in the storage
	retired bool                // another process has taken over
}

// domain is a host whose certificate is kept.
type domain struct {
	cancel context.CancelFunc // ends the attempts to obtain the first certificate
	pauses bool               // between two attempts
	again  bool               // the next attempt is made at once: this one may have begun with an older configuration
	err    string             // of the last attempt
}

// checkEvery is how often certificates are looked at. A renewal begins when a third of the lifetime is left, or when the authority
// asks for it (RFC 9773).
const checkEvery = 600 * time.Second

func newKeeper(s Settings, roots *x509.CertPool, log *slog.Logger, every time.Duration) *Keeper {
	k := &Keeper{settings: s, roots: roots, log: log, domains: make(map[string]*domain), loaded: make(map[string]struct{})}
	k.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return k.config.Load(), nil },
		RenewCheckInterval: every,
		Logger:             k.zapLogger(),
	})
	k.configure(Ports{})
	return k
}

// configure makes the configuration of certmagic for these ports. It begins with the next attempt.
func (k *Keeper) configure(p Ports) {
	k.mu.Lock()
	roots := k.roots
	k.mu.Unlock()
	log := k.zapLogger()
	c := certmagic.New(k.cache, certmagic.Config{
		Storage: storage{&certmagic.FileStorage{Path: k.settings.Storage}},
		Logger:  log,
		OnEvent: k.event,
		OCSP:    certmagic.OCSPConfig{DisableStapling: true},
	})
	issuer := certmagic.NewACMEIssuer(c, certmagic.ACMEIssuer{
		CA: k.settings.CA, Email: k.settings.Email, TrustedRoots: roots, Agreed: true, Logger: log,
		// certmagic would listen on these ports. It finds that the server does, and leaves the answers to it.
		ListenHost: p.Host, AltTLSALPNPort: p.TLS, AltHTTPPort: p.HTTP, DisableHTTPChallenge: p.HTTP == 0,
	})
	c.Issuers = []certmagic.Issuer{issuer}
	k.config.Store(c)
}

// Load reads the certificates of domains from the storage, as far as they are there. It does not use the network.
func (k *Keeper) Load(domains []string) error {
	if err := openStorage(k.settings.Storage); err != nil {
		return err
	}
	for _, name := range domains {
		k.mu.Lock()
		k.loaded[name] = struct{}{}
		k.mu.Unlock()
		if k.certificate(name) != nil {
			continue
		}
		_, err := k.config.Load().CacheManagedCertificate(context.Background(), name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			k.log.Error("stored certificate cannot be used", "domain", name, "storage", k.settings.Storage, "err", err)
		}
	}
	return nil
}

// Keep obtains the certificates of domains that have none, and renews those of all others in time. It returns at once. An attempt that
// waits, because the one before has failed, is made at once, and so is the one after an attempt that is in progress, if that fails.
func (k *Keeper) Keep(domains []string, p Ports) {
	k.configure(p)
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, name := range domains {
		if d := k.domains[name]; d != nil && !d.pauses {
			d.again = true
			continue
		}
		k.begin(name)
	}
	go k.renew()
}

// begin makes the first attempt for a domain that has no certificate, or the next one at once. Under mu.
func (k *Keeper) begin(name string) {
	if k.retired {
		return
	}
	if d := k.domains[name]; d != nil {
		d.cancel()
	}
	ctx, cancel := context.WithCancel(context.Background())
	k.domains[name] = &domain{cancel: cancel}
	if err := k.config.Load().ManageAsync(ctx, []string{name}); err != nil {
		k.log.Error("certificate is not kept", "domain", name, "err", err)
	}
}

// renew renews what is due now.
func (k *Keeper) renew() {
	if err := k.cache.RenewManagedCertificates(context.Background()); err != nil {
		k.log.Error("certificates not renewed", "err", err)
	}
}

// drop ends the attempts for all domains but these, and forgets their certificates. Otherwise certmagic would go on renewing what was
// loaded for a script that did not come to serve.
func (k *Keeper) drop(keep []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for name, d := range k.domains {
		if !slices.Contains(keep, name) {
			d.cancel()
			delete(k.domains, name)
			k.loaded[name] = struct{}{}
		}
	}
	for name := range k.loaded {
		if !slices.Contains(keep, name) {
			delete(k.loaded, name)
			k.cache.RemoveManaged([]certmagic.SubjectIssuer{{Subject: name}})
		}
	}
}

// retire ends all attempts. Challenges are answered as before.
func (k *Keeper) retire() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.retired {
		return
	}
	k.retired = true
	for _, d := range k.domains {
		d.cancel()
	}
	go k.cache.Stop() // it waits for a renewal that is in progress
}
