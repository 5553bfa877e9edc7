package bus

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Address says where a log is.
type Address struct {
	nats           bool // otherwise it is Redis
	secure         bool // with TLS
	hosts          []string
	user, password string
	hasPassword    bool
	database       int    // of Redis
	name           string // of the stream

	roots *x509.CertPool // for tests; nil: those of the system
}

// nameDefault is the name of a stream if the address does not say one.
const nameDefault = "moonbridge"

// nameMax bounds the name of a stream.
const nameMax = 64

// Errors of ParseAddress. None of them says what the address contains: there may be a password in it.
var (
	errURL      = errors.New("it is not a URL such as redis://host:6379 or nats://host:4222")
	errScheme   = errors.New("its scheme is not redis, rediss, nats or tls")
	errHost     = errors.New("a host is missing, or a port is not a number")
	errHosts    = errors.New("several hosts are for NATS")
	errPath     = errors.New("what follows the host is the number of a database, for Redis only")
	errQuery    = errors.New("the only parameter is stream, as in ?stream=name")
	errName     = errors.New("the name of a stream has at most 64 letters, digits, '_' and '-'")
	errFragment = errors.New("it has a fragment: a '#' in a password is written %23")
)

// ParseAddress reads an address: redis://user:password@host:6379/0?stream=name, with TLS rediss://; or nats://host:4222,host2:4222, with TLS
// tls://.
func ParseAddress(text string) (*Address, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return nil, errURL
	}
	a := &Address{name: nameDefault}
	port := "6379"
	switch scheme {
	case "redis":
	case "rediss":
		a.secure = true
	case "nats":
		a.nats, port = true, "4222"
	case "tls":
		a.nats, a.secure, port = true, true, "4222"
	default:
		return nil, errScheme
	}
	hosts, u, err := splitHosts(rest)
	if err != nil {
		return nil, err
	}
	if a.user = u.User.Username(); u.User != nil {
		a.password, a.hasPassword = u.User.Password()
	}
	if err := a.setHosts(hosts, port); err != nil {
		return nil, err
	}
	return a, a.setRest(u)
}

// splitHosts takes the list of hosts out of what follows the scheme. u is the rest, with another host.
func splitHosts(rest string) (hosts string, u *url.URL, err error) {
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	start := strings.LastIndexByte(rest[:end], '@') + 1
	if u, err = url.Parse("x://" + rest[:start] + "x" + rest[end:]); err != nil {
		return "", nil, errURL
	}
	return rest[start:end], u, nil
}

func (a *Address) setHosts(hosts, port string) error {
	for one := range strings.SplitSeq(hosts, ",") {
		host, number, err := net.SplitHostPort(one)
		if err != nil {
			host, number = strings.TrimSuffix(strings.TrimPrefix(one, "["), "]"), port
		}
		if n, err := strconv.Atoi(number); host == "" || err != nil || n < 1 || n > 65535 || strings.ContainsAny(host, "[] \t\r\n") {
			return errHost
		}
		a.hosts = append(a.hosts, net.JoinHostPort(host, number))
	}
	if len(a.hosts) > 1 && !a.nats {
		return errHosts
	}
	return nil
}

func (a *Address) setRest(u *url.URL) error {
	if path := strings.Trim(u.Path, "/"); path != "" {
		n, err := strconv.Atoi(path)
		if err != nil || n < 0 || a.nats {
			return errPath
		}
		a.database = n
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errQuery
	}
	for key, values := range query {
		if key != "stream" || len(values) != 1 {
			return errQuery
		}
		a.name = values[0]
	}
	switch {
	case !validName(a.name):
		return errName
	case u.Fragment != "":
		return errFragment
	}
	return nil
}

func validName(s string) bool {
	for _, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return s != "" && len(s) <= nameMax
}

// String is the address without user and password.
func (a *Address) String() string {
	scheme := map[[2]bool]string{{false, false}: "redis", {false, true}: "rediss", {true, false}: "nats", {true, true}: "tls"}[[2]bool{a.nats, a.secure}]
	s := scheme + "://" + strings.Join(a.hosts, ",")
	if a.database != 0 {
		s += "/" + strconv.Itoa(a.database)
	}
	if a.name != nameDefault {
		s += "?stream=" + a.name
	}
	return s
}

// tls is how a connection is encrypted; nil: it is not. Certificates are checked with the authorities of the system.
func (a *Address) tls() *tls.Config {
	if !a.secure {
		return nil
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: a.roots}
}
