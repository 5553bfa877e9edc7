package upstream

import (
	"cmp"
	"crypto/tls"
	"time"
)

// Options of a Set. The zero value is a usable default. A duration of 0 means its default.
type Options struct {
	// Balance chooses among the targets. nil: LeastLoad.
	Balance Balancer

	// Idle is how long an unused connection is kept: less than targets keep theirs (Node 5 s; gunicorn 2 s, which needs a smaller
	// value here). The Keep-Alive: timeout=n of a target shortens it. Default 4 s; negative: none is kept.
	Idle time.Duration
	// IdleMax is how many unused connections each loop keeps for a target. Default 256.
	IdleMax int

	Connect time.Duration // for a connection to be established, with its TLS handshake. Default 3 s
	Head    time.Duration // from the last byte of a request, or an interim response other than 100, to the head of its response. Default 60 s; negative: none
	Stall   time.Duration // without a byte of a response that has begun. Default 60 s; negative: none

	// TLS makes the connections to targets speak TLS. A ServerName in it is that of all targets; otherwise that of each is its Name, or its
	// address. Sessions are resumed, also without a ClientSessionCache. nil: no TLS.
	TLS *tls.Config

	// OnlyHealthy refuses requests while no target is up, so that they neither wait for time limits nor burden targets that recover: the
	// reverse proxy answers 503, tcpproxy resets the client. A target gets requests only while it is up, or on trial. By default requests go to all
	// targets when too few are up: see Passive.Panic, which then only says when backups step in.
	OnlyHealthy bool
	Passive     Passive
	// Active asks the targets from time to time whether they work, from the first request that uses the Set on. Package proxy does that;
	// tcpproxy does not. nil: no.
	Active *Active

	// Queue is how many requests wait, on all loops together, while every target has as many as it has Slots. Default 1024;
	// negative: none.
	Queue int
	// QueueTime is how long a request waits. Then it is answered with 503. Default 5 s.
	QueueTime time.Duration

	// Slow is the slow start: the share of a target grows over this time when it has come up, or was added by Replace. 0: none.
	Slow time.Duration
}

// Passive is health by what is seen of ordinary requests: a target that fails is left out for a while.
type Passive struct {
	// Fails is how many failures within Window take a target out. Default 3; negative: none is taken out.
	Fails  int
	Window time.Duration // default 10 s
	// Out is how long the target is left out. After that it gets one request at a time until one succeeds, which is when the head of
	// its response has come. Each failure of these doubles the time, up to OutMax.
	Out    time.Duration // default 10 s
	OutMax time.Duration // default 60 s
	// Panic is the part of the targets that has to be up. If fewer are, the backups that are up are used too. If none is,
	// all targets count as up, also those that fail their checks: the rest would not bear the load of all, and what looks like
	// the failure of most targets is more likely one of the network. A request that has failed on all that are up gets the
	// backups, and then the rest, too. Default 0.5; negative: all targets count as up only when none is. With Options.OnlyHealthy they never
	// do.
	Panic float64
}

// Active are health checks: requests of the proxy's own. The first check of a target decides at once, later ones by Rise and Fall.
type Active struct {
	Path    string        // default "/"
	Host    string        // field Host; default: as the Name of the target says
	Every   time.Duration // default 5 s
	Timeout time.Duration // for the whole check. Default 2 s
	Rise    int           // successes in a row after which a target is up. Default 2
	Fall    int           // failures in a row after which it is down. Default 3
	// Expect says which statuses are a success. nil: 200 to 399.
	Expect func(status int) bool
}

const (
	idleDefault    = 4 * time.Second
	idleMaxDefault = 256

	connectDefault = 3 * time.Second
	headDefault    = 60 * time.Second
	stallDefault   = 60 * time.Second

	queueDefault     = 1024
	queueTimeDefault = 5 * time.Second

	failsDefault  = 3
	windowDefault = 10 * time.Second
	outDefault    = 10 * time.Second
	outMaxDefault = 60 * time.Second
	panicDefault  = 0.5

	checkEveryDefault   = 5 * time.Second
	checkTimeoutDefault = 2 * time.Second
	riseDefault         = 2
	fallDefault         = 3
)

// resolve fills in the defaults. What a negative value switches off becomes 0.
func (o Options) resolve() Options {
	if o.Balance == nil {
		o.Balance = LeastLoad()
	}
	o.Idle = orDefault(o.Idle, idleDefault)
	o.IdleMax = orDefault(o.IdleMax, idleMaxDefault)
	o.Connect = cmp.Or(max(o.Connect, 0), connectDefault)
	o.Head = orDefault(o.Head, headDefault)
	o.Stall = orDefault(o.Stall, stallDefault)
	o.Queue = orDefault(o.Queue, queueDefault)
	o.QueueTime = orDefault(o.QueueTime, queueTimeDefault)
	o.Slow = max(o.Slow, 0)
	o.Passive = o.Passive.resolve()
	if o.TLS != nil && o.TLS.ClientSessionCache == nil {
		o.TLS = o.TLS.Clone()
		o.TLS.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	}
	if o.Active != nil {
		a := o.Active.resolve()
		o.Active = &a
	}
	return o
}

func (p Passive) resolve() Passive {
	p.Fails = orDefault(p.Fails, failsDefault)
	p.Window = orDefault(p.Window, windowDefault)
	p.Out = orDefault(p.Out, outDefault)
	p.OutMax = max(orDefault(p.OutMax, outMaxDefault), p.Out)
	p.Panic = orDefault(p.Panic, panicDefault)
	return p
}

func (a Active) resolve() Active {
	a.Path = cmp.Or(a.Path, "/")
	a.Every = cmp.Or(max(a.Every, 0), checkEveryDefault)
	a.Timeout = cmp.Or(max(a.Timeout, 0), checkTimeoutDefault)
	a.Rise = max(orDefault(a.Rise, riseDefault), 1)
	a.Fall = max(orDefault(a.Fall, fallDefault), 1)
	if a.Expect == nil {
		a.Expect = func(status int) bool { return 200 <= status && status < 400 }
	}
	return a
}

func orDefault[T int | float64 | time.Duration](v, def T) T {
	switch {
	case v == 0:
		return def
	case v < 0:
		return 0
	}
	return v
}
