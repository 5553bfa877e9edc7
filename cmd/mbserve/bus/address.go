package bus

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
)

// Address says where a log is.
type Address struct {
	kind           kind
	secure         bool // with TLS
	hosts          []string
	user, password string
	hasPassword    bool
	database       int    // of Redis
	name           string // of the stream

	master                         string // redisSentinel: that the sentinels watch
	sentinelUser, sentinelPassword string
	creds, nkey                    string // NATS: files

	roots     *x509.CertPool // nil: those of the system
	cert, key string         // files; "": the client has no certificate
}

// kind is how a log is reached.
type kind uint8

const (
	redisAlone kind = iota
	redisSentinel
	redisCluster
	natsServers
)

// scheme is what an address begins with, in the clear and with TLS.
type scheme struct {
	kind   kind
	secure bool
}

var schemes = map[string]scheme{
	"redis": {redisAlone, false}, "rediss": {redisAlone, true},
	"redis+sentinel": {redisSentinel, false}, "rediss+sentinel": {redisSentinel, true},
	"redis+cluster": {redisCluster, false}, "rediss+cluster": {redisCluster, true},
	"nats": {natsServers, false}, "tls": {natsServers, true},
}

// ports are those that an address need not say.
var ports = [...]string{redisAlone: "6379", redisSentinel: "26379", redisCluster: "6379", natsServers: "4222"}

// nameDefault is the name of a stream if the address does not say one.
const nameDefault = "moonbridge"

// nameMax bounds the name of a stream.
const nameMax = 64

// Errors of ParseAddress. None of them says what the address contains: there may be a password in it.
var (
	errURL      = errors.New("it is not a URL such as redis://host:6379 or nats://host:4222")
	errScheme   = errors.New("its scheme is not redis, rediss, nats or tls, nor redis+sentinel, redis+cluster, rediss+sentinel or rediss+cluster")
	errHost     = errors.New("a host is missing, or a port is not a number")
	errHosts    = errors.New("several hosts are for NATS, Redis Sentinel and Redis Cluster")
	errPath     = errors.New("what follows the host is the number of a database, for Redis only, and not for Redis Cluster")
	errQuery    = errors.New("it has a parameter that there is not, or one twice, or an empty one: there are stream, ca, cert and key; with Redis Sentinel master, sentinel_user and sentinel_password; with NATS creds and nkey")
	errMaster   = errors.New("Redis Sentinel needs the name of the master, as in ?master=mymaster")
	errTLS      = errors.New("ca, cert and key are for TLS: rediss or tls")
	errPair     = errors.New("cert and key belong together")
	errLogin    = errors.New("creds, nkey, and a user exclude each other")
	errName     = errors.New("the name of a stream has at most 64 letters, digits, '_' and '-'")
	errFragment = errors.New("it has a fragment: a '#' in a password is written %23")
)

// ParseAddress reads an address: redis://user:password@host:6379/0?stream=name, with TLS rediss://; redis+sentinel://host:26379,host2/0?master=name;
// redis+cluster://host,host2; or nats://host:4222,host2:4222, with TLS tls://. It reads the certificates that the address names.
func ParseAddress(text string) (*Address, error) {
	begin, rest, ok := strings.Cut(text, "://")
	if !ok {
		return nil, errURL
	}
	how, ok := schemes[begin]
	if !ok {
		return nil, errScheme
	}
	a := &Address{kind: how.kind, secure: how.secure, name: nameDefault}
	hosts, u, err := splitHosts(rest)
	if err != nil {
		return nil, err
	}
	if a.user = u.User.Username(); u.User != nil {
		a.password, a.hasPassword = u.User.Password()
	}
	if err := a.setHosts(hosts, ports[a.kind]); err != nil {
		return nil, err
	}
	if err := a.setRest(u); err != nil {
		return nil, err
	}
	return a, nil
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
	if len(a.hosts) > 1 && a.kind == redisAlone {
		return errHosts
	}
	return nil
}

func (a *Address) setRest(u *url.URL) error {
	if path := strings.Trim(u.Path, "/"); path != "" {
		n, err := strconv.Atoi(path)
		if err != nil || n < 0 || a.kind == redisCluster || a.kind == natsServers {
			return errPath
		}
		a.database = n
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errQuery
	}
	ca := ""
	parameters := a.parameters(&ca)
	for key, values := range query {
		to := parameters[key]
		if to == nil || len(values) != 1 || values[0] == "" {
			return errQuery
		}
		*to = values[0]
	}
	switch {
	case !validName(a.name):
		return errName
	case u.Fragment != "":
		return errFragment
	case a.kind == redisSentinel && a.master == "":
		return errMaster
	case !a.secure && (ca != "" || a.cert != "" || a.key != ""):
		return errTLS
	case (a.cert == "") != (a.key == ""):
		return errPair
	case a.creds != "" && (a.nkey != "" || u.User != nil) || a.nkey != "" && u.User != nil:
		return errLogin
	}
	return a.checkFiles(ca)
}

// parameters are those of the address, by name.
func (a *Address) parameters(ca *string) map[string]*string {
	m := map[string]*string{"stream": &a.name, "ca": ca, "cert": &a.cert, "key": &a.key}
	switch a.kind {
	case redisSentinel:
		m["master"], m["sentinel_user"], m["sentinel_password"] = &a.master, &a.sentinelUser, &a.sentinelPassword
	case natsServers:
		m["creds"], m["nkey"] = &a.creds, &a.nkey
	}
	return m
}

// checkFiles reads the authorities, and looks whether the other files can be used. They are read again with each connection: they may be renewed.
func (a *Address) checkFiles(ca string) error {
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return err
		}
		if a.roots = x509.NewCertPool(); !a.roots.AppendCertsFromPEM(pem) {
			return fmt.Errorf("%s: no certificate is in it", ca)
		}
	}
	if a.cert != "" {
		if _, err := tls.LoadX509KeyPair(a.cert, a.key); err != nil {
			return err
		}
	}
	if a.nkey != "" {
		if _, err := nats.NkeyOptionFromSeed(a.nkey); err != nil {
			return fmt.Errorf("%s: %w", a.nkey, err)
		}
	}
	if a.creds != "" {
		f, err := os.Open(a.creds)
		if err != nil {
			return err
		}
		f.Close()
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
	s := ""
	for name, how := range schemes {
		if how == (scheme{a.kind, a.secure}) {
			s = name + "://" + strings.Join(a.hosts, ",")
		}
	}
	if a.database != 0 {
		s += "/" + strconv.Itoa(a.database)
	}
	if a.name != nameDefault {
		s += "?stream=" + a.name
	}
	if a.master != "" {
		s += " (master " + strconv.Quote(a.master) + ")"
	}
	return s
}

// tls is how a connection is encrypted; nil: it is not. The server's certificate is checked with the given authorities, or those of the system.
func (a *Address) tls() *tls.Config {
	if !a.secure {
		return nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: a.roots}
	if a.cert != "" {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(a.cert, a.key)
			return &pair, err
		}
	}
	return c
}
