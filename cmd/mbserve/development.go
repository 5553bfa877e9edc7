package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// development makes the certificate of --tls-self-signed. It is signed by a certificate authority of this user on this machine, which
// is made when there is none. Browsers that trust it accept all certificates of later runs. It can only sign certificates for this
// machine, so that its key is of little use to others.
type development struct {
	once sync.Once
	cert *tls.Certificate
	err  error
}

const (
	authorityYears     = 10
	developmentDays    = 90
	authorityFile      = "local-ca.pem"
	authorityKeyFile   = "local-ca-key.pem"
	authorityDirectory = "moonbridge"
)

// certificate returns the certificate, which stays the same for as long as the process lives.
func (d *development) certificate(log *slog.Logger) (*tls.Certificate, error) {
	d.once.Do(func() {
		var dir string
		if dir, d.err = os.UserConfigDir(); d.err != nil {
			return
		}
		dir = filepath.Join(dir, authorityDirectory)
		if d.cert, d.err = developmentCertificate(dir); d.err == nil {
			file := filepath.Join(dir, authorityFile)
			log.Info("certificate for development: clients have to trust the authority that has signed it", "authority", file,
				"how", "curl --cacert "+file+", or import the file into the browser as an authority", "names", d.cert.Leaf.DNSNames)
		}
	})
	return d.cert, d.err
}

// developmentCertificate makes a certificate that the authority in dir has signed.
func developmentCertificate(dir string) (*tls.Certificate, error) {
	authority, err := localAuthority(dir)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	about := &x509.Certificate{
		SerialNumber: serialNumber(), Subject: pkix.Name{CommonName: "localhost"},
		DNSNames: []string{"localhost", "*.localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 0, developmentDays),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if name := hostName(); slices.Contains(authority.Leaf.PermittedDNSDomains, name) {
		about.DNSNames = append(about.DNSNames, name)
	}
	return signed(about, key, authority)
}

// signed returns the certificate, signed by the authority.
func signed(about *x509.Certificate, key *ecdsa.PrivateKey, authority *tls.Certificate) (*tls.Certificate, error) {
	by := about
	signer := any(key)
	if authority != nil {
		by, signer = authority.Leaf, authority.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, about, by, &key.PublicKey, signer)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// localAuthority reads the authority in dir, or makes one if there is none or it ends soon.
func localAuthority(dir string) (*tls.Certificate, error) {
	cert, key := filepath.Join(dir, authorityFile), filepath.Join(dir, authorityKeyFile)
	a, err := tls.LoadX509KeyPair(cert, key)
	switch {
	case err == nil && time.Now().AddDate(0, 0, developmentDays).Before(a.Leaf.NotAfter):
		return &a, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w (if the files in %s are damaged, remove them)", err, dir)
	}
	made, err := newAuthority()
	if err != nil {
		return nil, err
	}
	return made, saveAuthority(dir, cert, key, made)
}

// newAuthority makes an authority that can sign certificates for this machine only.
func newAuthority() (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	host := hostName()
	about := &x509.Certificate{
		SerialNumber: serialNumber(), Subject: pkix.Name{CommonName: "moonbridge development on " + host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(authorityYears, 0, 0),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: []string{"localhost", host},
		PermittedIPRanges: []*net.IPNet{
			{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)}, {IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)},
		},
	}
	return signed(about, key, nil)
}

func saveAuthority(dir, cert, key string, a *tls.Certificate) error {
	der, err := x509.MarshalPKCS8PrivateKey(a.PrivateKey)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := writeNew(key, "PRIVATE KEY", der, 0o600); err != nil {
		return err
	}
	return writeNew(cert, "CERTIFICATE", a.Certificate[0], 0o644)
}

// writeNew replaces a file as a whole.
func writeNew(path, kind string, der []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	err = errors.Join(f.Chmod(mode), pem.Encode(f, &pem.Block{Type: kind, Bytes: der}), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func serialNumber() *big.Int {
	var b [16]byte
	rand.Read(b[:])
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b[:])
}

// hostName is the name of this machine, or localhost if it has none.
func hostName() string {
	if name, err := os.Hostname(); err == nil && name != "" {
		return name
	}
	return "localhost"
}
