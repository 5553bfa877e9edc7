package listen

import (
	"net"
	"os"
	"strconv"
	"time"

	"moonbridge/httpwrite"
)

// Spec is what one listen{} call asks for, checked and completed with defaults.
type Spec struct {
	Options   Options
	Listeners []Listener
}

// Options of a pool. Workers are counted in processes.
type Options struct {
	PreFork int // spare workers to keep ready
	MinFork int // fewest workers
	MaxFork int // most workers, including those that are ending

	ForkDelay      time.Duration // between the creation of spare workers
	ForkErrorDelay time.Duration // after a failed fork, or a worker that died in prepare
	ExitDelay      time.Duration // between the ends of surplus workers
	IdleTimeout    time.Duration // a worker idle this long ends; 0: never

	MemoryLimit    int64 // bytes of the Lua heap of a worker; 0: no limit. Workers enforce this and the next two options
	MinRequests    int   // exchanges before which a handler cannot end its worker by returning false
	RecycleOnError bool  // an error of the handler ends the worker

	MaxRequests    int           // exchanges after which a worker is replaced, give or take a tenth; 0: never
	RequestTimeout time.Duration // of a handler; 0: none
	QueueLimit     int           // exchanges that may wait for a worker
	QueueTimeout   time.Duration // how long they may wait; 0: forever
	GoneAfter      time.Duration // how long one must have waited to be dropped because its peer has sent its FIN; 0: never

	Prepare, Finish bool // whether there are such functions
	Selftest        bool // the same

	TrustedProxies []string // addresses, networks and "unix": see forwarded.New

	Routes []Route      // requests that are passed on without a worker, ordered by path
	Static []StaticRule // files that are served without a worker, ordered by prefix

	RateLimit       *RateLimit       // of the requests of a client; nil: none
	ConnectionLimit *ConnectionLimit // of the connections of a client; nil: none
	FloodPenalty    bool             // addresses that flood with HTTP/2 may open few connections for a while

	HasErrorPages bool                  // error responses of the server have the bodies below, or JSON for those who like that
	ErrorPages    []httpwrite.ErrorBody // that the script has made

	HTTPOptions bool // the table had http_options, which are ignored
}

// Listener is one listener of a listen{} call.
type Listener struct {
	Proto string // "tcp", "tcp4", "tcp6", "local", "interval", "main"

	Host      string // tcp: address or name
	Port      int    // tcp, tcp4, tcp6; 0: any that is free
	Localhost bool   // tcp4, tcp6: loopback only

	ProxyProtocol bool // tcp, tcp4, tcp6, local: connections start with a header of the PROXY protocol

	Path    string      // local
	Mode    os.FileMode // local, if HasMode: permission bits of the socket
	HasMode bool
	Owner   string // local: user that the socket's file belongs to, a name or a number; "": not changed
	Group   string // likewise

	Delay  time.Duration // interval
	Name   string        // interval, main
	Strict bool          // interval: ticks are counted from when they were due

	TLS           *TLS // nil: none
	RedirectHTTPS int  // requests are answered with a redirection to https on this port; 0: they are not

	HTTP2 HTTP2 // who may speak it

	HTTP *HTTPOptions // of the HTTP handler that serves this listener; nil for an interval, for main, and for raw connections
}

// HTTP2 says which clients of a listener may speak HTTP/2.
type HTTP2 uint8

const (
	HTTP2WithTLS HTTP2 = iota // those with TLS
	HTTP2Never                // none
	HTTP2Always               // those without TLS too, if they know that they may
)

// TLS of a listener.
type TLS struct {
	Certificates []Certificate // the first is for clients that name no server, or one that none of them is for
	ClientCA     string        // file of the certificates that sign those of clients; "": clients are not asked for one
	ClientMay    bool          // clients need not have one

	ACME *ACME // nil: all certificates are in files

	HSTS   string // value of the field Strict-Transport-Security of all responses; "": they have none
	AltSvc string // the same of Alt-Svc

	hsts *hsts // while it is decoded
}

// ACME says for which hosts certificates are obtained, and from whom.
type ACME struct {
	Domains []string // in lower case
	Email   string   // of the operator, for the authority; may be empty
	Storage string   // directory of the certificates
	CA      string   // URL of the authority's directory; "": the default
	CARoot  string   // file of certificates that the authority's own leads to; "": those of the system
}

// Certificate names the files, in PEM, of a certificate with those that lead to a root, and of its key.
type Certificate struct{ Cert, Key string }

// HTTPOptions are the options of http.generate_handler that the server needs. The fork server sends all of them, so they
// have no defaults here. Sizes are in bytes. A duration of 0 is no limit.
type HTTPOptions struct {
	RequestBodySizeLimit   int64
	RequestHeaderSizeLimit int64

	IdleTimeout          time.Duration // waiting for a request
	RequestHeaderTimeout time.Duration
	StallTimeout         time.Duration // without progress in body or response
	ResponseTimeout      time.Duration
	DrainTimeout         time.Duration

	BufferResponse int64 // of a response that its client takes slowly; 0: none
	StreamBody     bool  // the handler is called before the body is there

	EndOnClientGone   bool          // a handler is ended when its client has gone
	ClientGoneTimeout time.Duration // how long it may take to end; then its worker is killed

	EncodedBody EncodedBody // request bodies with a content coding
	Compress    Compress
	Cache       Cache

	// StaticHeaders are field lines, each with its CR LF, that every response has, also those that the server makes itself.
	StaticHeaders string
}

// RateLimit is how many requests of a client are taken.
type RateLimit struct {
	Rate  float64 // per second
	Burst int     // at once
	Key   string  // what a client is: "ip"
}

// ConnectionLimit is how many connections of an address are taken.
type ConnectionLimit struct {
	Rate  float64 // new ones per second; 0: no limit
	Burst int     // of them at once
	Open  int     // open ones; 0: no limit
}

// EncodedBody says what happens to request bodies with a content coding (RFC 9110 §8.4). The numbers are those of
// handler/worker/core.h.
type EncodedBody uint8

const (
	EncodedRefuse EncodedBody = iota // they are refused with 415
	EncodedDecode                    // the handler gets them decoded
	EncodedPass                      // the handler gets them as they are
)

// StaticRule says which files are served for the paths with a prefix: see package static, which has the same fields.
type StaticRule struct {
	Prefix, Path string

	MaxAge        time.Duration
	HasMaxAge     bool
	Immutable     bool
	Index         string
	Listing       bool
	Dotfiles      bool
	Symlinks      bool
	NotFound      bool
	Precompressed bool
	Compress      bool
}

// Route says where the requests for a path are passed on to: see packages route, upstream and proxy. A path that ends in a slash
// stands for all that begin with it. A duration of 0 is no limit.
type Route struct {
	Path    string
	Targets []string // as upstream.Target.Addr has them, or one host name with a port
	Named   bool     // the target is a host name

	TLS        bool   // targets have it
	CA         string // file of the certificates that theirs lead to; "": those of the system
	ServerName string // that their certificates have to be for; "": the name or address of each

	Weights     []int // of the targets; nil: all are the same
	StripPrefix bool  // targets get the path without Path, but its last slash

	ProxyProtocol int // version of the header that targets get; 0: they get none

	Check string // path of health checks; "": there are none

	HostOfTarget bool // the field Host is the address of the target, not what the client has sent
	Slots        int  // requests of each target at a time; 0: no bound
	Retries      int

	ConnectTimeout  time.Duration // never 0
	ResponseTimeout time.Duration // to the head of a response
	StallTimeout    time.Duration // without a byte of a response that has begun
	StreamTimeout   time.Duration // without a byte of an upgraded connection
}

// Compress says which responses are compressed.
type Compress struct {
	On       bool
	MinBytes int64    // smaller ones are not
	Level    int      // from 1 to 9; 0: the default
	Types    []string // media types; nil: the default ones
}

// Cache says how responses are kept.
type Cache struct {
	ID                int           // of the handler: listeners with the same one share what is kept; 0: nothing is kept
	Bytes             int64         // of all that is kept
	EntryBytes        int64         // of one response's body
	Wait              time.Duration // for the response to another request
	Status            bool          // responses say in Cache-Status what the cache has done
	RequestDirectives bool          // Cache-Control of requests counts
}

// Network is the listener's network, as package net names it: "tcp", "tcp4", "tcp6", "unix", or "" for an interval
// and for main. On "tcp6" only IPv6 is served.
func (l *Listener) Network() string {
	switch l.Proto {
	case "local":
		return "unix"
	case "interval", "main":
		return ""
	}
	return l.Proto
}

// Interval reports whether the listener is a timer.
func (l *Listener) Interval() bool { return l.Proto == "interval" }

// Main reports whether the handler is to be called once, for as long as the server runs.
func (l *Listener) Main() bool { return l.Proto == "main" }

// Peerless reports whether the listener has no socket.
func (l *Listener) Peerless() bool { return l.Interval() || l.Main() }

// Raw reports whether the handler gets whole connections.
func (l *Listener) Raw() bool { return l.HTTP == nil && !l.Peerless() && l.RedirectHTTPS == 0 }

// Address is the address to listen on, as package net writes it.
func (l *Listener) Address() string {
	port := strconv.Itoa(l.Port)
	switch l.Proto {
	case "tcp4":
		if l.Localhost {
			return net.JoinHostPort("127.0.0.1", port)
		}
		return net.JoinHostPort("0.0.0.0", port)
	case "tcp6":
		if l.Localhost {
			return net.JoinHostPort("::1", port)
		}
		return net.JoinHostPort("::", port)
	case "tcp":
		return net.JoinHostPort(l.Host, port)
	case "local":
		return l.Path
	}
	return ""
}

// String names the listener in messages: "tcp4 127.0.0.1:8080", "interval \"clean\"".
func (l *Listener) String() string {
	if l.Peerless() {
		return l.Proto + " " + strconv.Quote(l.Name)
	}
	return l.Proto + " " + l.Address()
}
