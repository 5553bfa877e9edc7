package listen

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"moonbridge/handler/shm"
)

const (
	// tlsName is an option whose value is a table, which comes as entries of their own: their keys are the name, the number of a
	// certificate (0: of the table itself) and the name in its table, with a NUL between them.
	tlsName = "tls"
	// redirectName is the option of a listener whose requests are redirected.
	redirectName = "redirect_https"
)

// certificatesMax bounds the certificates of a listener.
const certificatesMax = 1000

func setTLS(_ *Listener, v value) error { return v.wrong("table") }

// addTLS sets one value of tls: name is the number of the certificate, a NUL, and the name.
func (l *Listener) addTLS(name string, v value) error {
	number, option, _ := strings.Cut(name, "\x00")
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || n > certificatesMax {
		return errors.New("malformed message")
	}
	if l.TLS == nil {
		l.TLS = &TLS{}
	}
	for len(l.TLS.Certificates) <= n {
		l.TLS.Certificates = append(l.TLS.Certificates, Certificate{})
	}
	if err := l.TLS.set(n, option, v); err != nil {
		return fmt.Errorf("tls: %w", err)
	}
	return nil
}

// texts are the options of the table of a certificate, or of the whole table (0), that name files.
func (t *TLS) texts(n int) map[string]*string {
	c := &t.Certificates[n]
	to := map[string]*string{"cert": &c.Cert, "key": &c.Key}
	if n == 0 {
		to["client_ca"] = &t.ClientCA
	}
	return to
}

func (t *TLS) set(n int, option string, v value) error {
	if set := tlsOptions[option]; set != nil && n == 0 {
		return named(option, set(t, v))
	}
	to := t.texts(n)[option]
	if to == nil {
		if table, name, ok := strings.Cut(option, "."); ok && tlsOptions[table] != nil {
			return named(table, t.setIn(table, name, v))
		}
		return unknown("option", option, append(slices.Collect(maps.Keys(tlsOptions)), "cert", "key", "client_ca"))
	}
	return named(option, setPathOf(to, v))
}

// setPathOf sets the path of a file or directory.
func setPathOf(to *string, v value) error {
	text, err := v.str()
	if err == nil && (text == "" || strings.IndexByte(text, 0) >= 0) {
		err = fmt.Errorf("%q is not a path of a file", text)
	}
	*to = text
	return err
}

// named puts the name of an option before an error.
func named(option string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", option, err)
}

// checkTLS checks the values together.
func (l *Listener) checkTLS() error {
	if l.TLS == nil {
		return nil
	}
	t := l.TLS
	if t.Certificates[0] == (Certificate{}) {
		t.Certificates = t.Certificates[1:] // they are in a list
	}
	for _, c := range t.Certificates {
		if c.Cert == "" || c.Key == "" {
			return errors.New("tls: a certificate needs both cert and key")
		}
	}
	switch {
	case len(t.Certificates) == 0 && t.ACME == nil:
		return errors.New("tls: cert and key are missing, or acme")
	case t.ClientMay && t.ClientCA == "":
		return errors.New("tls: client_optional has no meaning without client_ca")
	case l.RedirectHTTPS != 0:
		return fmt.Errorf("tls and %s exclude each other", redirectName)
	}
	if t.ACME != nil {
		return named("tls: acme", t.ACME.complete())
	}
	return nil
}

func setRedirect(l *Listener, v value) (err error) {
	if v.is(shm.TypeBool) {
		if yes, _ := v.boolean(); yes {
			l.RedirectHTTPS = 443
		}
		return nil
	}
	if l.RedirectHTTPS, err = v.integer(1, 65535); err != nil {
		return v.wrong("true or a port number")
	}
	return nil
}

// setHTTP2 takes true, false or "h2c", which is the name of HTTP/2 without TLS.
func setHTTP2(l *Listener, v value) error {
	if text, err := v.str(); err == nil && text == "h2c" {
		l.HTTP2 = HTTP2Always
		return nil
	}
	yes, err := v.boolean()
	if err != nil {
		return v.wrong(`true, false or "h2c"`)
	}
	l.HTTP2 = HTTP2WithTLS
	if !yes {
		l.HTTP2 = HTTP2Never
	}
	return nil
}
