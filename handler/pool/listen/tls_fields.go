package listen

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"moonbridge/handler/shm"
)

// tlsOptions are the options of tls that do not name files.
var tlsOptions = map[string]func(t *TLS, v value) error{
	"client_optional": func(t *TLS, v value) (err error) { t.ClientMay, err = v.boolean(); return },
	"alt_svc":         setAltSvc,
	hstsName:          setHSTS,
	acmeName:          setACME,
}

const (
	hstsName = "hsts"
	acmeName = "acme"
)

// setIn sets a value of a table in tls.
func (t *TLS) setIn(table, name string, v value) error {
	switch table {
	case acmeName:
		if set := acmeOptions[name]; set != nil && t.ACME != nil {
			return named(name, set(t.ACME, v))
		}
		return unknown("option", name, slices.Collect(maps.Keys(acmeOptions)))
	case hstsName:
		if i := slices.Index(hstsOptions, name); i >= 0 && t.hsts != nil {
			return named(name, t.hsts.set(i, v))
		}
		return unknown("option", name, hstsOptions)
	}
	return unknown("option", table+"."+name, nil)
}

// hsts are the directives of Strict-Transport-Security (RFC 6797 §6.1).
type hsts struct {
	maxAge              time.Duration // -1: not given
	subdomains, preload bool
}

// hstsOptions are the options of the table hsts.
var hstsOptions = []string{"max_age", "include_subdomains", "preload"}

// preloadSeconds is the shortest max_age that the makers of browsers take into their lists.
const preloadSeconds = 31536000

// setHSTS: a number is that of seconds.
func setHSTS(t *TLS, v value) (err error) {
	if v.isTable() {
		t.hsts = &hsts{maxAge: -1}
		return nil
	}
	if !v.is(shm.TypeNumber) {
		return v.wrong("number (of seconds) or table")
	}
	t.hsts = &hsts{maxAge: -1}
	return t.hsts.set(0, v)
}

func (h *hsts) set(option int, v value) (err error) {
	switch option {
	case 0:
		if !v.is(shm.TypeNumber) {
			return v.wrong("number (of seconds)")
		}
		h.maxAge, err = v.duration()
	case 1:
		h.subdomains, err = v.boolean()
	case 2:
		h.preload, err = v.boolean()
	}
	return err
}

// field is the value of the field.
func (h *hsts) field() (string, error) {
	switch {
	case h.maxAge < 0:
		return "", errors.New("max_age is missing")
	case h.preload && (!h.subdomains || h.maxAge < preloadSeconds*time.Second):
		return "", fmt.Errorf("preload needs include_subdomains, and a max_age of at least %d", preloadSeconds)
	}
	text := fmt.Sprintf("max-age=%d", h.maxAge/time.Second)
	if h.subdomains {
		text += "; includeSubDomains"
	}
	if h.preload {
		text += "; preload"
	}
	return text, nil
}

// altSvcMax bounds alt_svc: every response has it.
const altSvcMax = 1024

// altSvcForm is Alt-Svc (RFC 7838 §3), without escapes in quotes. Few scripts need it.
var altSvcForm = sync.OnceValue(func() *regexp.Regexp {
	const token, quoted = "[!#$%&'*+.^_`|~0-9A-Za-z-]+", `"[^"\\[:cntrl:]]*"`
	one := token + `="[^"\\[:cntrl:]]*:[0-9]+"(?: *; *` + token + `=(?:` + token + "|" + quoted + "))*"
	return regexp.MustCompile("^(?:clear|" + one + "(?: *, *" + one + ")*)$")
})

func setAltSvc(t *TLS, v value) (err error) {
	if t.AltSvc, err = v.str(); err != nil {
		return err
	}
	if len(t.AltSvc) > altSvcMax || strings.TrimFunc(t.AltSvc, isPrintable) != "" || !altSvcForm().MatchString(t.AltSvc) {
		return fmt.Errorf(`%.64q is not a value of Alt-Svc, as in h3=":443"; ma=86400`, t.AltSvc)
	}
	return nil
}

func isPrintable(r rune) bool { return r >= ' ' && r < 0x7f }

// checkFields checks what only responses can have, and completes it.
func (l *Listener) checkFields() (err error) {
	if l.TLS == nil {
		return nil
	}
	t := l.TLS
	if t.hsts != nil {
		if t.HSTS, err = t.hsts.field(); err != nil {
			return fmt.Errorf("tls: hsts: %w", err)
		}
		t.hsts = nil
	}
	if l.HTTP == nil && (t.HSTS != "" || t.AltSvc != "") {
		return errors.New("tls: hsts and alt_svc are fields of responses, which a raw connection does not have")
	}
	return nil
}
