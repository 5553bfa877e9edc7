package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"moonbridge/cmd/mbserve/acme"
	"moonbridge/handler"
	"moonbridge/handler/backend"
	"moonbridge/handler/pool/listen"
	"moonbridge/handler/route"
)

// challengesAtATime bounds the goroutines that answer challenges, which may read a file. More wait.
const challengesAtATime = 8

func acmeSettings(a *listen.ACME, abs func(string) string) acme.Settings {
	s := acme.Settings{Storage: abs(a.Storage), CA: a.CA, Email: a.Email}
	if a.CARoot != "" {
		s.CARoot = abs(a.CARoot)
	}
	return s
}

// useACME makes a listener use certificates that are obtained.
func (g *generation) useACME(config *tls.Config, a *listen.ACME) error {
	settings := acmeSettings(a, g.s.dir.abs)
	var roots *x509.CertPool
	if settings.CARoot != "" {
		var err error
		if roots, _, err = g.s.certificates.ofAuthorities("ca_root", settings.CARoot, g.log); err != nil {
			return fmt.Errorf("tls: acme: ca_root: %w", err)
		}
	}
	k := g.s.acme.For(settings, roots)
	g.s.mu.Lock()
	defer g.s.mu.Unlock()
	if g.s.kept[g] == nil {
		g.s.kept[g] = make(map[*acme.Keeper][]string)
	}
	for _, domain := range a.Domains {
		if !slices.Contains(g.s.kept[g][k], domain) {
			g.s.kept[g][k] = append(g.s.kept[g][k], domain)
		}
	}
	k.Serve(config, a.Domains)
	return nil
}

// keepers are the keepers of this generation, with their domains.
func (g *generation) keepers() map[*acme.Keeper][]string {
	g.s.mu.Lock()
	defer g.s.mu.Unlock()
	return maps.Clone(g.s.kept[g])
}

// loadCertificates reads what is stored, before the first handshake needs it. All listeners with TLS answer challenges: that for a
// domain may come to any of them.
func (g *generation) loadCertificates() error {
	all := g.keepers()
	for k, domains := range all {
		if err := k.Load(domains); err != nil {
			return fmt.Errorf("tls: acme: %w", err)
		}
	}
	if len(all) > 0 {
		for _, config := range g.configs {
			g.s.acme.ServeChallenges(config)
		}
	}
	return nil
}

// keepCertificates obtains certificates that are missing, and renews the others, from now on.
func (g *generation) keepCertificates() {
	for k, domains := range g.keepers() {
		k.Keep(domains, g.ports())
	}
}

// leaveCertificates lets go of the certificates that no generation uses any more.
func (g *generation) leaveCertificates() {
	if len(g.keepers()) == 0 {
		return
	}
	g.s.mu.Lock()
	delete(g.s.kept, g)
	used := make(map[*acme.Keeper][]string)
	for _, kept := range g.s.kept {
		for k, domains := range kept {
			used[k] = append(used[k], domains...)
		}
	}
	g.s.mu.Unlock()
	g.s.acme.Only(used)
}

// ports are where authorities reach the server: on the ports of HTTP and HTTPS, or what leads there.
func (g *generation) ports() (p acme.Ports) {
	for _, ls := range g.listeners {
		for _, l := range ls {
			if l.at == nil || l.spec.Network() == "unix" {
				continue
			}
			at, err := netip.ParseAddrPort(l.at.ln.Addr())
			if err != nil {
				continue
			}
			port := int(at.Port())
			switch {
			case l.tls != nil && (p.TLS == 0 || port == portHTTPS):
				p.TLS, p.Host = port, ""
				if !at.Addr().IsUnspecified() {
					p.Host = at.Addr().String()
				}
			case l.tls == nil && !l.spec.Raw() && (p.HTTP == 0 || port == portHTTP):
				p.HTTP = port
			}
		}
	}
	return p
}

// answersChallenges reports whether challenges may come to a listener in the clear.
func (g *generation) answersChallenges(l listener) bool {
	return len(g.keepers()) > 0 && l.tls == nil && l.spec.Network() != "unix" && !l.spec.Raw()
}

// withChallenges answers the challenges of authorities before b, without a worker.
func (g *generation) withChallenges(b backend.Backend) (backend.Backend, error) {
	if g.challenges == nil {
		g.challenges = newOnce(handler.Config{Logger: g.log}.Blocking(handler.HTTP(g.s.acme), challengesAtATime), g.s.engine.Loops())
	}
	return route.New([]route.Rule{{Path: acme.ChallengePath, To: g.challenges}}, b)
}

// checkACME checks without the network what --check can see.
func checkACME(a *listen.ACME) error {
	if a.CARoot != "" {
		if _, _, err := readAuthorities(a.CARoot); err != nil {
			return fmt.Errorf("tls: acme: ca_root: %w", err)
		}
	}
	if err := acmeSettings(a, func(path string) string { return path }).Check(); err != nil {
		return fmt.Errorf("tls: acme: %w", err)
	}
	return nil
}
