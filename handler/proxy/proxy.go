package proxy

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/forwarded"
	"moonbridge/handler/logging"
	"moonbridge/handler/upstream"
)

// Config of a proxy. Only To must be set. The functions are called on the loop: they must not block. A panic in one of them fails its
// request, with ErrPanic.
type Config struct {
	// To chooses the service that a request goes to, and may refuse it (Request.Refuse). nil: 503. Each loop keeps what belongs to a
	// Set, so there should be few.
	To func(q *Request) *upstream.Set
	// Edit changes the request that is sent: Request.SetTarget, SetHost, Set, Drop. It may refuse it.
	Edit func(q *Request)
	// Answer sees the head of the final response, unless that is 101, and may change it: Response.Set, Drop. With ErrRetry the request is sent to
	// another target, if it may be sent twice and Retry.Times allows that. With any other error the client gets 502.
	Answer func(q *Request, p *Response) error
	// Failed chooses the status for the client if there is no response, or is told that one was broken off (errors.Is(err,
	// ErrTruncated)), which resets the client's connection in any case. 0 is the status that would be sent without it: see Status.
	// It is not called if the client has gone.
	Failed func(q *Request, err error) (status int)

	Retry   Retrying
	Forward Forwarding
	Host    HostPolicy

	// Upgrade names the protocols that a client may change to (RFC 9110 §7.8), in any case. A request for any other is passed on
	// without Upgrade. nil: websocket; empty but not nil: none.
	Upgrade []string
	// Stream is how long an upgraded connection may be without a byte in either direction. Default 1 h; negative: for ever.
	Stream time.Duration
	// CloseDelay is how long upgraded connections stay open when the engine drains, or their listener is closed. 0: until they end.
	// Negative: not at all.
	CloseDelay time.Duration

	// PassExpect leaves the answer to Expect: 100-continue to the target. Without an answer within 1 s the client is asked for the
	// body. By default the proxy asks for it when it is connected to a target.
	PassExpect bool
	// Underscores passes fields with an underscore in their name. By default they are dropped, since many applications take
	// X_Forwarded_For for X-Forwarded-For.
	Underscores bool
	// Via is the name in the Via field of requests (RFC 9110 §7.6.3). "": no field.
	Via string

	// ProxyOut is the version of the PROXY protocol, 1 or 2, whose header each connection to a target begins with, before a TLS
	// handshake. The header is about one client, so each request then has a connection of its own, which costs what kept ones save. 0: none is sent.
	ProxyOut int

	// Window bounds what the proxy holds of a message, in bytes: a response that the client does not take, or a request body that
	// the target does not take. A head of a response must fit. Default 64 KiB, at least 4 KiB. A large response may have up to 256 KiB more
	// in a pipe of the system: see backend.ConnSender.
	Window int

	// Logger receives the panics of these functions, and of the key of upstream.Hash, with their stacks: 50 a second, and 500 at once.
	// nil: slog.Default().
	Logger *slog.Logger

	panics *logging.Panics
}

// HostPolicy says what the field Host of a request is.
type HostPolicy uint8

const (
	// HostClient: what the client has sent; the address of the target if it has sent none.
	HostClient HostPolicy = iota
	// HostTarget: the name of the target (upstream.Target.Name), or its address. X-Forwarded-Host has what the client has sent.
	HostTarget
)

// Retrying says when a request is sent again.
//
// A target that cannot be connected to has got nothing: the next one is tried, whatever the method, until connectTriesMax were.
// A kept connection that ends before the first byte of a response has probably been closed by an idle timeout of the target: the
// request is sent once more on a new connection, if it may be sent twice. The other fields are for everything else: a target that
// closes a new connection, or does not answer in time, or with a response that makes no sense, or with a status of On.
//
// A request may be sent twice if its method is among Methods, and its body is still there. A request whose response has begun to
// reach the client is never sent again.
type Retrying struct {
	// Times is how often a request is sent again, each time to a target that has not failed it yet. Default 1; negative: never.
	Times int
	// Methods of requests that may be sent twice. nil: GET, HEAD, OPTIONS, TRACE, PUT and DELETE, which are idempotent (RFC 9110
	// §9.2.2).
	Methods []string
	// Body is the largest body of such requests that is kept, in bytes. Default 64 KiB; negative: none.
	Body int
	// On are statuses of responses that count as a failure.
	On []int
	// Budget is how many requests may be sent again, as a part of all. 0.2 keeps an overloaded service from twice the load. In addition, 256 of
	// each loop may be sent again at once, when a target has ended. Default 0.2; negative: no bound.
	Budget float64
}

// Forwarding says what targets are told of the client: X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host. What the client
// has sent in these fields, and in Forwarded, X-Forwarded-Port, X-Forwarded-Prefix and X-Real-IP, is dropped, unless it is Trusted.
type Forwarding struct {
	// Trusted are proxies before this one. Their fields are passed on: our client's address is appended to X-Forwarded-For and
	// Forwarded. nil: there are none.
	Trusted *forwarded.Trusted
	// Forwarded sends the field Forwarded (RFC 7239) too.
	Forwarded bool
	// Proto is the scheme that clients use. "": https if the connection has TLS or a trusted proxy says so (Head.Secure), else http.
	Proto string
	// None sends none of these fields, and passes on what the client has sent. Targets must not believe it.
	None bool
}

// Why there is no response, for Config.Failed; compare with errors.Is.
var (
	ErrNoService      = errors.New("no service for the request")              // 503
	ErrNoTarget       = errors.New("no target")                               // 503
	ErrBusy           = errors.New("all targets are busy")                    // 503
	ErrConnect        = errors.New("no connection to the target")             // 502
	ErrConnectTimeout = errors.New("no connection to the target in time")     // 504
	ErrClosed         = errors.New("target has closed the connection")        // 502
	ErrInvalid        = errors.New("invalid response")                        // 502
	ErrHeadTimeout    = errors.New("no response in time")                     // 504
	ErrStalled        = errors.New("target has stopped sending or receiving") // 504
	ErrRefused        = errors.New("response refused by the program")         // 502
	ErrUpgrade        = errors.New("target has changed to another protocol")  // 502
	ErrTruncated      = errors.New("response broken off")                     // reset
	ErrBody           = errors.New("request body is incomplete or invalid")   // 400
	ErrHead           = errors.New("request head is not acceptable")          // 400
	ErrMethod         = errors.New("method is not supported")                 // 501
	ErrPanic          = errors.New("panic in a function of the Config")       // 500
)

// ErrRetry is for Config.Answer: the request is to be sent to another target.
var ErrRetry = errors.New("retry")

// Status is the status that a client gets for an error of this package.
func Status(err error) int {
	for _, s := range statuses {
		if errors.Is(err, s.err) {
			return s.status
		}
	}
	return 502
}

var statuses = []struct {
	err    error
	status int
}{
	{ErrNoService, 503}, {ErrNoTarget, 503}, {ErrBusy, 503},
	{ErrConnectTimeout, 504}, {ErrHeadTimeout, 504}, {ErrStalled, 504},
	{ErrBody, 400}, {ErrHead, 400}, {ErrMethod, 501}, {ErrPanic, 500},
}

const (
	windowDefault = 64 << 10
	windowMin     = 4 << 10
	streamDefault = 3600 * time.Second

	retryTimesDefault  = 1
	retryBodyDefault   = 64 << 10
	retryBudgetDefault = 0.2

	// connectTriesMax bounds how many targets are tried for a request because none can be connected to.
	connectTriesMax = 8
	// expectWait is how long PassExpect waits for the target.
	expectWait = time.Second
)

var methodsDefault = []string{"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"}

func (c Config) resolve() Config {
	if c.To == nil {
		c.To = func(*Request) *upstream.Set { return nil }
	}
	if c.Upgrade == nil {
		c.Upgrade = []string{"websocket"}
	}
	c.Stream = cmp.Or(c.Stream, streamDefault)
	c.Window = cmp.Or(c.Window, windowDefault)
	c.Window = max(c.Window, windowMin)
	c.Retry = c.Retry.resolve()
	return c
}

func (r Retrying) resolve() Retrying {
	r.Times = cmp.Or(r.Times, retryTimesDefault)
	if r.Methods == nil {
		r.Methods = methodsDefault
	}
	r.Body = max(cmp.Or(r.Body, retryBodyDefault), 0) // a request without a body has all of it
	r.Budget = cmp.Or(r.Budget, retryBudgetDefault)
	return r
}

// New makes a Backend that passes requests on. Each exchange has a connection to a target for itself; unused ones are kept, by
// each loop for itself, so a target may see as many of them as there are loops times upstream.Options.IdleMax.
//
// It panics if ProxyOut is a version that does not exist.
func New(c Config) backend.Backend {
	if c.ProxyOut < 0 || c.ProxyOut > 2 {
		panic(fmt.Sprintf("proxy.New: ProxyOut %d: the versions of the PROXY protocol are 1 and 2", c.ProxyOut))
	}
	c.panics = logging.NewPanics(c.Logger)
	return &proxy{c.resolve()}
}

// To is a Config.To for a proxy with one service.
func To(s *upstream.Set) func(*Request) *upstream.Set {
	return func(*Request) *upstream.Set { return s }
}

type proxy struct{ config Config }

// ErrLoop is returned by Attach if the loop cannot open connections.
var ErrLoop = errors.New("proxy: the loop is no backend.Dialer")

// Attach implements backend.Backend.
func (p *proxy) Attach(l backend.Loop) (backend.LoopBackend, error) {
	d, ok := l.(backend.Dialer)
	if !ok {
		return nil, ErrLoop
	}
	return newLoop(&p.config, l, d), nil
}
