package acme

import (
	"crypto/x509"
	"fmt"
	"os"
)

// Settings say where certificates come from and where they are kept.
type Settings struct {
	Storage string // directory
	CA      string // URL of the authority's directory; "": Let's Encrypt
	CARoot  string // file of certificates that the one of the authority's server leads to; "": those of the system
	Email   string // of the operator; may be empty
}

// Check checks what can be checked without the network.
func (s Settings) Check() error {
	if _, err := s.roots(); err != nil {
		return err
	}
	return checkStorage(s.Storage)
}

// roots are the certificates of CARoot. nil: those of the system.
func (s Settings) roots() (*x509.CertPool, error) {
	if s.CARoot == "" {
		return nil, nil
	}
	text, err := os.ReadFile(s.CARoot)
	if err != nil {
		return nil, fmt.Errorf("ca_root: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("ca_root: no certificate in %s", s.CARoot)
	}
	return pool, nil
}
