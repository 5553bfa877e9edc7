package listen

import (
	"errors"
	"fmt"
	"net/mail"
	"net/url"
	"slices"
	"strings"

	"moonbridge/handler/shm"
)

const (
	// acmeDomainsMax bounds the domains of a listener. Each has a certificate of its own, and authorities limit how many one may
	// have.
	acmeDomainsMax = 100
	// domainMax is the longest name of a host (RFC 1035 §2.3.4).
	domainMax = 253
)

// acmeOptions are the options of the table acme in tls. A list of domains comes as entries with the same name.
var acmeOptions = map[string]func(a *ACME, v value) error{
	"domains": addDomain,
	"storage": func(a *ACME, v value) error { return setPathOf(&a.Storage, v) },
	"ca_root": func(a *ACME, v value) error { return setPathOf(&a.CARoot, v) },
	"email":   setEmail,
	"ca":      setAuthority,
}

// isTable reports whether a value was a table, whose values come as entries of their own.
func (v value) isTable() bool { return v.is(shm.TypeOther) && v.text == "table" }

func setACME(t *TLS, v value) error {
	if !v.isTable() {
		return v.wrong("table")
	}
	if t.ACME == nil {
		t.ACME = &ACME{}
	}
	return nil
}

// addDomain adds the name of a host. It is one that can be looked up, so a wildcard is none: an authority can only check it in
// the domain name system, which is not ours to change.
func addDomain(a *ACME, v value) error {
	if !v.is(shm.TypeString) {
		return v.wrong("string or list of strings")
	}
	domain := strings.ToLower(v.text)
	switch {
	case strings.HasPrefix(domain, "*."):
		return fmt.Errorf("%.64q: certificates for wildcards cannot be obtained in this way: write the names", v.text)
	case !isDomain(domain):
		return fmt.Errorf("%.64q is not the name of a host, in its ASCII form", v.text)
	case slices.Contains(a.Domains, domain):
		return fmt.Errorf("%.64q is given twice", v.text)
	case len(a.Domains) == acmeDomainsMax:
		return fmt.Errorf("more than %d domains", acmeDomainsMax)
	}
	a.Domains = append(a.Domains, domain)
	return nil
}

// isDomain reports whether a name consists of labels of letters, digits and hyphens, and is not an address.
func isDomain(name string) bool {
	if len(name) > domainMax {
		return false
	}
	labels := strings.Split(name, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return strings.Trim(labels[len(labels)-1], "0123456789") != ""
}

func setEmail(a *ACME, v value) (err error) {
	if a.Email, err = v.str(); err != nil {
		return err
	}
	if parsed, err := mail.ParseAddress(a.Email); err != nil || parsed.Address != a.Email {
		return fmt.Errorf("%.64q is not an address of electronic mail", a.Email)
	}
	return nil
}

// setAuthority sets the URL of the authority's directory (RFC 8555 §7.1.1). It needs TLS (§6.1).
func setAuthority(a *ACME, v value) (err error) {
	if a.CA, err = v.str(); err != nil {
		return err
	}
	if u, err := url.Parse(a.CA); err != nil || u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%.128q is not a URL that begins with https://", a.CA)
	}
	return nil
}

// complete checks the values together.
func (a *ACME) complete() error {
	switch {
	case len(a.Domains) == 0:
		return errors.New("domains is missing")
	case a.Storage == "":
		return errors.New("storage is missing: a directory of the server's own, which has to stay")
	}
	return nil
}
