package listen

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"moonbridge/handler/shm"
)

// Bounds of options, and why these numbers.
const (
	minForkDefault  = 2         // or pre_fork, if that is greater
	maxForkDefault  = 16        // or min_fork, if that is greater
	maxForkLimit    = 1024      // processes of one pool: a larger number is a mistake
	queueLimitMax   = 4096      // a waiting exchange holds a cell: 128 KiB of address space, of which memory is used as needed
	maxRequestsMax  = 1<<31 - 1 // any integer will do
	sizeLimitMax    = 1 << 50   // bytes of a request body; below what a float64 counts exactly
	headerSizeLimit = 1 << 30   // the parser counts in 32 bits
	memoryLimitMin  = 1 << 16   // any script leaves more in memory: a smaller number was meant in kilobytes or megabytes
)

// Defaults returns the defaults of a pool's options. MinFork and MaxFork are -1, since their defaults depend on other options.
func Defaults() Options {
	return Options{
		PreFork: 1, MinFork: -1, MaxFork: -1,
		ForkDelay: 250 * time.Millisecond, ForkErrorDelay: 2 * time.Second, ExitDelay: time.Minute,
		QueueLimit: 1024, QueueTimeout: 10 * time.Second, GoneAfter: 100 * time.Millisecond,
		FloodPenalty: true,
	}
}

// httpOptionsName is an option of WebMCP's own listen function, which leaves it in the table that it passes on. It means
// nothing here: whatever is in it was meant for generate_handler.
const httpOptionsName = "http_options"

// poolOptions are the options that the table of a listen{} call may contain besides the listeners and connect.
var poolOptions = map[string]func(o *Options, v value) error{
	"pre_fork": func(o *Options, v value) (err error) { o.PreFork, err = v.integer(0, maxForkLimit); return },
	"min_fork": func(o *Options, v value) (err error) { o.MinFork, err = v.integer(0, maxForkLimit); return },
	"max_fork": func(o *Options, v value) (err error) { o.MaxFork, err = v.integer(1, maxForkLimit); return },

	"fork_delay":       func(o *Options, v value) (err error) { o.ForkDelay, err = v.duration(); return },
	"fork_error_delay": func(o *Options, v value) (err error) { o.ForkErrorDelay, err = v.duration(); return },
	"exit_delay":       func(o *Options, v value) (err error) { o.ExitDelay, err = v.duration(); return },
	"idle_timeout":     func(o *Options, v value) (err error) { o.IdleTimeout, err = v.duration(); return },
	"request_timeout":  func(o *Options, v value) (err error) { o.RequestTimeout, err = v.duration(); return },
	"queue_timeout":    func(o *Options, v value) (err error) { o.QueueTimeout, err = v.duration(); return },
	"gone_after":       func(o *Options, v value) (err error) { o.GoneAfter, err = v.duration(); return },

	routesName:  func(_ *Options, v value) error { return v.wrong("table") },
	trustedName: func(_ *Options, v value) error { return v.wrong("table of strings") }, // a table comes as other entries

	staticName: func(_ *Options, v value) error { return v.wrong("table") }, // a table comes as other entries

	rateLimitName: func(o *Options, v value) error { // the same
		if v.no() {
			return nil
		}
		return v.wrong("table or false")
	},

	connectionLimitName: func(o *Options, v value) error { // the same
		if v.no() {
			return nil
		}
		return v.wrong("table or false")
	},

	"flood_penalty": func(o *Options, v value) (err error) { o.FloodPenalty, err = v.boolean(); return },

	errorPageName: func(o *Options, v value) error { return o.setErrorPages(v) }, // what a function has made comes as other entries

	"queue_limit": func(o *Options, v value) (err error) { o.QueueLimit, err = v.integer(0, queueLimitMax); return },

	"memory_limit":          func(o *Options, v value) (err error) { o.MemoryLimit, err = v.memory(); return },
	"min_requests_per_fork": func(o *Options, v value) (err error) { o.MinRequests, err = v.orNone(1, maxRequestsMax); return },
	"max_requests_per_fork": func(o *Options, v value) (err error) { o.MaxRequests, err = v.orNone(1, maxRequestsMax); return },
	"recycle_on_error":      func(o *Options, v value) (err error) { o.RecycleOnError, err = v.boolean(); return },

	"prepare": func(o *Options, v value) (err error) { o.Prepare, err = v.function(); return },
	"finish":  func(o *Options, v value) (err error) { o.Finish, err = v.function(); return },

	"selftest": func(o *Options, v value) (err error) { o.Selftest, err = v.function(); return },
}

// memory is a number of bytes, rounded down; false is none.
func (v value) memory() (int64, error) {
	if v.no() {
		return 0, nil
	}
	if v.typ != shm.TypeNumber {
		return 0, v.wrong("number (of bytes) or false")
	}
	f, err := parseNumber(v.text)
	if err == nil && (f < memoryLimitMin || f > sizeLimitMax) {
		err = fmt.Errorf("%v is not a number of bytes from %d to %d", f, memoryLimitMin, int64(sizeLimitMax))
	}
	return int64(f), err
}

// function: false is no function.
func (v value) function() (bool, error) {
	switch {
	case v.no():
		return false, nil
	case v.is(shm.TypeFunc):
		return true, nil
	}
	return false, v.wrong("function")
}

// complete sets the defaults that depend on other options, and checks that they agree. minFork and maxFork are what min_fork
// and max_fork are at least by default.
func (o *Options) complete(minFork, maxFork int) error {
	if o.MinFork < 0 {
		o.MinFork = max(o.PreFork, minFork)
		if o.MaxFork >= 0 {
			o.MinFork = min(o.MinFork, o.MaxFork)
		}
	}
	if o.MaxFork < 0 {
		o.MaxFork = max(o.MinFork, maxFork)
	}
	switch {
	case o.MinFork > o.MaxFork:
		return fmt.Errorf("min_fork (%d) is greater than max_fork (%d)", o.MinFork, o.MaxFork)
	case o.PreFork > o.MaxFork:
		return fmt.Errorf("pre_fork (%d) is greater than max_fork (%d)", o.PreFork, o.MaxFork)
	case o.MaxRequests > 0 && o.MinRequests > o.MaxRequests:
		return fmt.Errorf("min_requests_per_fork (%d) is greater than max_requests_per_fork (%d)", o.MinRequests, o.MaxRequests)
	}
	return nil
}

// httpOptions are the options of an HTTP handler that the server needs. The table in handler/worker/process_http_options.c
// marks the same ones, and has their defaults.
var httpOptions = map[string]func(o *HTTPOptions, f float64) error{
	"request_body_size_limit": func(o *HTTPOptions, f float64) (err error) { o.RequestBodySizeLimit, err = byteCount(f); return },
	"request_header_size_limit": func(o *HTTPOptions, f float64) (err error) {
		o.RequestHeaderSizeLimit, err = byteCount(f)
		o.RequestHeaderSizeLimit = min(o.RequestHeaderSizeLimit, headerSizeLimit)
		return
	},
	"idle_timeout":           func(o *HTTPOptions, f float64) (err error) { o.IdleTimeout, err = seconds(f); return },
	"request_header_timeout": func(o *HTTPOptions, f float64) (err error) { o.RequestHeaderTimeout, err = seconds(f); return },
	"stall_timeout":          func(o *HTTPOptions, f float64) (err error) { o.StallTimeout, err = seconds(f); return },
	"response_timeout":       func(o *HTTPOptions, f float64) (err error) { o.ResponseTimeout, err = seconds(f); return },
	"drain_timeout":          func(o *HTTPOptions, f float64) (err error) { o.DrainTimeout, err = seconds(f); return },
	"buffer_response":        func(o *HTTPOptions, f float64) (err error) { o.BufferResponse, err = byteCount(f); return },
	"stream_body":            func(o *HTTPOptions, f float64) error { o.StreamBody = f != 0; return nil },
	"on_client_gone":         func(o *HTTPOptions, f float64) error { o.EndOnClientGone = f != 0; return nil },
	"client_gone_timeout":    func(o *HTTPOptions, f float64) (err error) { o.ClientGoneTimeout, err = seconds(f); return },
	"cache":                  func(o *HTTPOptions, f float64) error { o.Cache.ID = int(f); return nil },
	"cache_bytes":            func(o *HTTPOptions, f float64) (err error) { o.Cache.Bytes, err = byteCount(f); return },
	"cache_entry_bytes":      func(o *HTTPOptions, f float64) (err error) { o.Cache.EntryBytes, err = byteCount(f); return },
	"cache_wait":             func(o *HTTPOptions, f float64) (err error) { o.Cache.Wait, err = seconds(f); return },
	"cache_status":           func(o *HTTPOptions, f float64) error { o.Cache.Status = f != 0; return nil },
	"cache_directives":       func(o *HTTPOptions, f float64) error { o.Cache.RequestDirectives = f != 0; return nil },
	"encoded_body":           func(o *HTTPOptions, f float64) error { o.EncodedBody = EncodedBody(min(max(f, 0), 2)); return nil },
	"compress":               func(o *HTTPOptions, f float64) error { o.Compress.On = f != 0; return nil },
	"compress_min_bytes":     func(o *HTTPOptions, f float64) (err error) { o.Compress.MinBytes, err = byteCount(f); return },
	"compress_level":         func(o *HTTPOptions, f float64) error { o.Compress.Level = int(min(max(f, 0), 9)); return nil },
}

// compressTypes is the name of a line that is a list of words, not a number. It may be missing.
const compressTypes = "compress_types"

// newHTTPOptions reads the options of an HTTP handler, "name=number\n" each, perhaps a line of media types, and after an empty line the field lines of
// static_headers. All options have to be there: those that the script does not give have their defaults already.
func newHTTPOptions(text string) (*HTTPOptions, error) {
	text, headers, _ := strings.Cut(text, "\n\n")
	o := &HTTPOptions{StaticHeaders: headers}
	missing := maps.Clone(httpOptions)
	for name, number := range optionLines(text) {
		if name == compressTypes {
			o.Compress.Types = strings.Fields(number)
			continue
		}
		set := httpOptions[name]
		if set == nil {
			return nil, unknown("option", name, slices.Collect(maps.Keys(httpOptions)))
		}
		delete(missing, name)
		f, err := parseNumber(number)
		if err == nil {
			err = set(o, f)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("missing options: %s", strings.Join(slices.Sorted(maps.Keys(missing)), ", "))
	}
	return o, nil
}

func byteCount(f float64) (int64, error) {
	if f < 0 || f > sizeLimitMax {
		return 0, fmt.Errorf("%v is not a number of bytes from 0 to %d", f, int64(sizeLimitMax))
	}
	return int64(f), nil
}
