package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/gob"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"sync"
	"time"

	"moonbridge/engine"
	"moonbridge/handler/pool/listen"
)

// certificates are what the files of TLS listeners have contained. A reload, or a process that takes over, reads them again. What cannot be
// used then does not replace what is in use.
type certificates struct {
	mu          sync.Mutex
	last        map[listen.Certificate]*tls.Certificate
	authorities map[string][]byte // of clients, and of authorities of ACME, as the text of each file
}

// of returns the certificate in the files of c. If it cannot be read, it returns the last one that could, and says so in the log.
func (s *certificates) of(c listen.Certificate, log *slog.Logger) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cert, err := readCertificate(c)
	if err == nil {
		if s.last == nil {
			s.last = make(map[listen.Certificate]*tls.Certificate)
		}
		s.last[c] = cert
		warnOfTime(log, c.Cert, cert.Leaf)
		return cert, nil
	}
	if old := s.last[c]; old != nil {
		log.Error("certificate not read again: the one in use stays in use", "cert", c.Cert, "until", old.Leaf.NotAfter, "err", err)
		return old, nil
	}
	return nil, err
}

// ofAuthorities is the same for the certificates of authorities: those that sign the certificates of clients (client_ca), or that of a server
// of ACME (ca_root). option is which of these. text is what the file has contained.
func (s *certificates) ofAuthorities(option, file string, log *slog.Logger) (all *x509.CertPool, text []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if all, text, err = readAuthorities(file); err == nil {
		if s.authorities == nil {
			s.authorities = make(map[string][]byte)
		}
		s.authorities[file] = text
		return all, text, nil
	}
	old := s.authorities[file]
	if old == nil {
		return nil, nil, err
	}
	log.Error(option+" not read again: the certificates in use stay in use", option, file, "err", err)
	all, err = authoritiesIn(file, old)
	return all, old, err
}

// passedCertificate is a certificate on its way to a process that takes over.
type passedCertificate struct {
	Files listen.Certificate
	Chain [][]byte
	Key   []byte // PKCS #8
}

// pass returns a pipe from which another process can read the certificates, in case it cannot read their files: with --user, only root may be
// able to. nil: there are none.
func (s *certificates) pass() (*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []passedCertificate
	for files, cert := range s.last {
		key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
		if err != nil {
			return nil, err
		}
		all = append(all, passedCertificate{files, cert.Certificate, key})
	}
	if len(all)+len(s.authorities) == 0 {
		return nil, nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	authorities := maps.Clone(s.authorities)
	go func() { // they may be more than a pipe holds
		defer w.Close()
		e := gob.NewEncoder(w)
		if e.Encode(all) == nil { // fails if that process ends
			e.Encode(authorities)
		}
	}()
	return r, nil
}

// takeOver reads what pass has written. Those that do not come are read from their files, or not at all.
func (s *certificates) takeOver(from *os.File) {
	if from == nil {
		return
	}
	defer from.Close()
	var all []passedCertificate
	d := gob.NewDecoder(from)
	if d.Decode(&all) != nil {
		return
	}
	var authorities map[string][]byte
	d.Decode(&authorities) // an older version has not passed them
	s.mu.Lock()
	defer s.mu.Unlock()
	s.authorities = authorities
	s.last = make(map[listen.Certificate]*tls.Certificate)
	for _, p := range all {
		key, err := x509.ParsePKCS8PrivateKey(p.Key)
		if err != nil || len(p.Chain) == 0 {
			continue
		}
		if leaf, err := x509.ParseCertificate(p.Chain[0]); err == nil {
			s.last[p.Files] = &tls.Certificate{Certificate: p.Chain, PrivateKey: key, Leaf: leaf}
		}
	}
}

// readCertificate reads a certificate and its key.
func readCertificate(c listen.Certificate) (*tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	switch {
	case errors.Is(err, fs.ErrPermission):
		// With --user, the files are read as root when the server starts, and by the user at a reload.
		return nil, fmt.Errorf("tls: %w (user id %d has to be able to read it)", err, os.Geteuid())
	case err != nil && !isPathError(err):
		return nil, fmt.Errorf("tls: %s and %s: %w", c.Cert, c.Key, err)
	case err != nil:
		return nil, fmt.Errorf("tls: %w", err)
	}
	return &cert, nil
}

func isPathError(err error) bool { return errors.As(err, new(*fs.PathError)) }

// warnOfTime warns of a certificate that is not valid now.
func warnOfTime(log *slog.Logger, file string, leaf *x509.Certificate) {
	switch now := time.Now(); {
	case now.After(leaf.NotAfter):
		log.Warn("certificate has expired", "cert", file, "until", leaf.NotAfter)
	case now.Before(leaf.NotBefore):
		log.Warn("certificate is not valid yet", "cert", file, "from", leaf.NotBefore)
	}
}

// cipherSuites are those of TLS 1.2: with forward secrecy and authenticated encryption. Those of TLS 1.3 all have both.
var cipherSuites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// tlsOf makes what a listener of this generation needs for TLS. nil: it has none.
func (g *generation) tlsOf(spec *listen.Listener) (*engine.TLS, error) {
	t := spec.TLS
	switch {
	case t != nil:
	case g.s.o.selfSigned && spec.Network() != "" && spec.Network() != "unix" && spec.RedirectHTTPS == 0:
		t = &listen.TLS{}
	default:
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: cipherSuites}
	config.NextProtos = protocolsOf(spec)
	if err := g.addCertificates(config, t); err != nil {
		return nil, err
	}
	clients, err := askForClients(config, t, func(file string) (*x509.CertPool, []byte, error) {
		return g.s.certificates.ofAuthorities("client_ca", file, g.log)
	})
	if err != nil {
		return nil, err
	}
	if t.ACME != nil {
		if err := g.useACME(config, t.ACME); err != nil {
			return nil, err
		}
	}
	g.s.tickets.use(config, clients)
	g.configs = append(g.configs, config)
	return &engine.TLS{Config: config}, nil
}

// protocolsOf are the protocols that clients of a listener can choose from (ALPN). Some, such as curl --http1.0, ask for http/1.0 alone. The one
// of challenges is not among them: connections that ask for that have a configuration of their own.
func protocolsOf(spec *listen.Listener) []string {
	if spec.Raw() {
		return nil
	}
	if spec.HTTP2 == listen.HTTP2Never {
		return []string{"http/1.1", "http/1.0"}
	}
	return []string{"h2", "http/1.1", "http/1.0"}
}

// secureFields are the field lines of all responses of a listener with TLS.
func secureFields(t *listen.TLS) (lines string) {
	if t.HSTS != "" {
		lines += "Strict-Transport-Security: " + t.HSTS + "\r\n"
	}
	if t.AltSvc != "" {
		lines += "Alt-Svc: " + t.AltSvc + "\r\n"
	}
	return lines
}

func (g *generation) addCertificates(config *tls.Config, t *listen.TLS) error {
	if len(t.Certificates) == 0 && t.ACME == nil {
		cert, err := g.s.development.certificate(g.log)
		if err != nil {
			return fmt.Errorf("--tls-self-signed: %w", err)
		}
		config.Certificates = []tls.Certificate{*cert}
		return nil
	}
	for _, c := range t.Certificates {
		cert, err := g.s.certificates.of(c, g.log)
		if err != nil {
			return err
		}
		config.Certificates = append(config.Certificates, *cert)
	}
	return nil
}

// askForClients makes clients show certificates, if that is wanted. It returns what tells these clients from others.
func askForClients(config *tls.Config, t *listen.TLS, read func(file string) (*x509.CertPool, []byte, error)) (clients []byte, err error) {
	if t.ClientCA == "" {
		return nil, nil
	}
	if config.ClientCAs, clients, err = read(t.ClientCA); err != nil {
		return nil, fmt.Errorf("tls: client_ca: %w", err)
	}
	config.ClientAuth = tls.RequireAndVerifyClientCert
	if t.ClientMay {
		config.ClientAuth = tls.VerifyClientCertIfGiven
	}
	return clients, nil
}

// readAuthorities reads the certificates of authorities. text is that of the file.
func readAuthorities(file string) (all *x509.CertPool, text []byte, err error) {
	if text, err = os.ReadFile(file); err != nil {
		return nil, nil, err
	}
	all, err = authoritiesIn(file, text)
	return all, text, err
}

// authoritiesIn are the certificates in the text of a file.
func authoritiesIn(file string, text []byte) (*x509.CertPool, error) {
	all := x509.NewCertPool()
	if !all.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("no certificate in %s", file)
	}
	return all, nil
}

// checkTLS checks whether the files of a pool's TLS listeners can be used.
func checkTLS(spec *listen.Spec) error {
	for i := range spec.Listeners {
		t := spec.Listeners[i].TLS
		if t == nil {
			continue
		}
		for _, c := range t.Certificates {
			if _, err := readCertificate(c); err != nil {
				return err
			}
		}
		if _, err := askForClients(new(tls.Config), t, readAuthorities); err != nil {
			return err
		}
		if t.ACME != nil {
			if err := checkACME(t.ACME); err != nil {
				return err
			}
		}
	}
	return nil
}
