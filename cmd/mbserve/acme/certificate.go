package acme

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"

	"moonbridge/engine"
)

// challengeProtocol is what connections for challenges ask for (ALPN), and nothing else.
const challengeProtocol = "acme-tls/1"

// NotYetError is the error of a handshake for a domain that has no certificate yet.
type NotYetError struct {
	Domain string
	Cause  string // of the last attempt that has failed; "": none has
}

// Unwrap tells the engine, which counts these handshakes apart.
func (e *NotYetError) Unwrap() error { return engine.ErrNoCertificate }

func (e *NotYetError) Error() string {
	if e.Cause == "" {
		return fmt.Sprintf("there is no certificate for %s yet", e.Domain)
	}
	return fmt.Sprintf("there is no certificate for %s: %s", e.Domain, e.Cause)
}

// Serve makes a configuration use the certificates of domains, and answer challenges. Clients that ask for another host get the
// configuration's own certificates, or the one of the first domain if there are none.
func (k *Keeper) Serve(config *tls.Config, domains []string) {
	others := len(config.Certificates) > 0
	config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
		if !slices.Contains(domains, name) {
			if others {
				return nil, nil
			}
			name = domains[0]
		}
		if cert := k.certificate(name); cert != nil {
			return cert, nil
		}
		return nil, k.notYet(name)
	}
}

// ServeChallenges makes a configuration answer the challenges of authorities (RFC 8737), which may be for any domain of any keeper. Only
// connections that ask for nothing else are concerned.
func (s *Keepers) ServeChallenges(config *tls.Config) {
	challenge := &tls.Config{
		MinVersion: config.MinVersion, CipherSuites: config.CipherSuites, NextProtos: []string{challengeProtocol},
		SessionTicketsDisabled: true,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if k := s.keeping(strings.ToLower(hello.ServerName)); k != nil {
				return k.config.Load().GetCertificate(hello)
			}
			return nil, &NotYetError{Domain: hello.ServerName, Cause: "it is not one of tls.acme"}
		},
	}
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == challengeProtocol {
			return challenge, nil
		}
		return nil, nil
	}
}

// certificate returns the certificate of a domain, or nil if there is none. If there are several, it is the one that is valid for the
// longest time.
func (k *Keeper) certificate(name string) (cert *tls.Certificate) {
	list := k.cache.AllMatchingCertificates(name)
	for i := range list {
		if cert == nil || list[i].Leaf.NotAfter.After(cert.Leaf.NotAfter) {
			cert = &list[i].Certificate
		}
	}
	return cert
}

func (k *Keeper) notYet(name string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	e := &NotYetError{Domain: name}
	if d := k.domains[name]; d != nil {
		e.Cause = d.err
	}
	return e
}
