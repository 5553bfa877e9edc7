package admin

import "time"

// Status is what the server does at one moment: the JSON of /status, and what the page shows. Times are in seconds.
type Status struct {
	Server  Process   `json:"server"`
	Ready   bool      `json:"ready"`
	Missing []string  `json:"missing,omitempty"` // what keeps it from being ready
	Now     time.Time `json:"now"`
	Sample  Sample    `json:"sample"`
	Pools   []Pool    `json:"pools"`
	Loops   []Loop    `json:"loops"`
	Spool   Spool     `json:"spool"`
	Caches  []Cache   `json:"caches,omitempty"`

	TLS        *TLS        `json:"tls,omitempty"`        // nil: there has been none
	HTTP2      *HTTP2      `json:"http2,omitempty"`      // nil: there has been none
	WebSockets *WebSockets `json:"websockets,omitempty"` // nil: there have been none
	Channels   *Channels   `json:"channels,omitempty"`   // likewise

	Timers  []Timer  `json:"timers,omitempty"`
	Reloads []Reload `json:"reloads,omitempty"`
	Errors  []Error  `json:"errors,omitempty"`
	History []Sample `json:"history,omitempty"` // oldest first
}

// Process describes the process of the server.
type Process struct {
	Version    string    `json:"version"`
	Lua        string    `json:"lua"`
	Go         string    `json:"go"`
	Subject    string    `json:"serves"` // the script, or the directory
	PID        int       `json:"pid"`
	Started    time.Time `json:"started"`
	Generation int       `json:"generation"` // loads of the script, from 0
	Requests   uint64    `json:"requests"`   // since the start
	Errors     uint64    `json:"errors"`     // those with a status from 500 on
	Conns      int64     `json:"connections"`
}

// Sample is what happened in a second.
type Sample struct {
	Time     int64   `json:"t"`      // Unix time
	Requests float64 `json:"rate"`   // per second
	Errors   float64 `json:"errors"` // per second
	P50      float64 `json:"p50"`
	P90      float64 `json:"p90"`
	P99      float64 `json:"p99"`
	Queue99  float64 `json:"queue_p99"` // of the time in the queue
	Waiting  int     `json:"waiting"`   // for a worker
	Busy     int     `json:"busy"`      // workers
	Workers  int     `json:"workers"`
	Conns    int64   `json:"connections"`
}

// Pool describes the workers of one listen{} call.
type Pool struct {
	Index     int               `json:"pool"`
	Addresses []string          `json:"addresses"`
	MaxFork   int               `json:"max_fork"`
	Missing   string            `json:"missing,omitempty"`
	Booting   int               `json:"booting"`
	Idle      int               `json:"idle"`
	Busy      int               `json:"busy"`
	Draining  int               `json:"draining"`
	Waiting   int               `json:"waiting"`
	Exchanges uint64            `json:"exchanges"`
	Forks     uint64            `json:"forks"`
	Ends      map[string]uint64 `json:"ends,omitempty"` // of workers, by cause
	Lost      uint64            `json:"lost"`
	Retries   uint64            `json:"retries"`
	Abandoned uint64            `json:"abandoned"`
	Memory    int64             `json:"memory_bytes"` // PSS of the workers; 0: not known yet
	Shared    int64             `json:"shared_memory_bytes"`
	Workers   []Worker          `json:"workers"`
	Queue     []Running         `json:"queue,omitempty"` // those that have waited longest
}

// Worker describes a worker process.
type Worker struct {
	Slot      int      `json:"slot"`
	PID       int      `json:"pid"`
	State     string   `json:"state"`
	Age       float64  `json:"age"`
	Exchanges uint64   `json:"exchanges"`
	Doing     *Running `json:"doing,omitempty"`
}

// Running describes an exchange in progress.
type Running struct {
	PID     int     `json:"pid,omitempty"`
	Kind    string  `json:"kind"`
	What    string  `json:"what"` // method and path, or the name
	Client  string  `json:"client,omitempty"`
	ID      string  `json:"request_id,omitempty"`
	Waited  float64 `json:"waited"`
	Seconds float64 `json:"seconds"`
	Phase   string  `json:"phase"`
	Line    string  `json:"line,omitempty"` // of the script, if it is known
}

// Loop describes an event loop.
type Loop struct {
	Loop    int     `json:"loop"`
	Conns   int     `json:"connections"`
	Idle    int     `json:"idle"`
	Raw     int     `json:"raw"`
	Posts   int     `json:"posts"`
	Longest float64 `json:"longest_turn"`
}

// Spool describes the spool.
type Spool struct {
	Bytes   int64  `json:"bytes"`
	Files   int64  `json:"files"`
	Refused uint64 `json:"refused"`
	Waited  uint64 `json:"waited"`
}

// Cache describes the cache of a handler.
type Cache struct {
	Cache  int    `json:"cache"`
	Hits   uint64 `json:"hits"`
	Stale  uint64 `json:"stale"`
	Misses uint64 `json:"misses"`
	Keys   int    `json:"keys"`
	Bytes  int64  `json:"bytes"`
	Limit  int64  `json:"limit"`
}

// TLS describes all handshakes.
type TLS struct {
	Handshakes uint64            `json:"handshakes"` // that were completed
	Resumed    uint64            `json:"resumed"`    // of them: sessions that were known
	Running    int64             `json:"running"`
	Waiting    int64             `json:"waiting"`
	Failed     map[string]uint64 `json:"failed,omitempty"` // by cause
}

// HTTP2 describes all connections with HTTP/2.
type HTTP2 struct {
	Open           int64             `json:"open"`
	Accepted       uint64            `json:"accepted"`
	Streams        int64             `json:"streams"`
	Requests       uint64            `json:"requests"`
	ResetsReceived uint64            `json:"resets_received"`
	ResetsSent     uint64            `json:"resets_sent"`
	Ended          map[string]uint64 `json:"ended,omitempty"` // because of what clients had done, by cause
}

// WebSockets describes all WebSockets.
type WebSockets struct {
	Open     int64             `json:"open"`
	Accepted uint64            `json:"accepted"`
	Refused  uint64            `json:"refused"`
	In       uint64            `json:"in"` // messages
	Out      uint64            `json:"out"`
	Waiting  int64             `json:"waiting"`          // events, for room in their pool
	Closed   map[string]uint64 `json:"closed,omitempty"` // by cause
}

// Channels describes all channels.
type Channels struct {
	Channels    int64  `json:"channels"`
	Subscribers int64  `json:"subscribers"`
	Messages    uint64 `json:"messages"`
	Deliveries  uint64 `json:"deliveries"` // messages times their subscribers
	Refused     uint64 `json:"refused"`
	Slow        uint64 `json:"slow"` // subscribers that were ended
	History     int64  `json:"history_bytes"`
}

// Timer describes an interval of the script.
type Timer struct {
	Name    string     `json:"name"`
	Delay   float64    `json:"delay"`
	Running bool       `json:"running"`
	Last    *time.Time `json:"last,omitempty"`
	Took    float64    `json:"took"`
	Next    *time.Time `json:"next,omitempty"`
	Ticks   uint64     `json:"ticks"`
}

// Reload describes a load of the script.
type Reload struct {
	Time       time.Time `json:"time"`
	Took       float64   `json:"took"`
	Generation int       `json:"generation"`
	Result     string    `json:"result"` // started, reloaded, failed, aborted
	Error      string    `json:"error,omitempty"`
}
