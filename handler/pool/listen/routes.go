package listen

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"moonbridge/handler/route"
	"moonbridge/handler/shm"
)

// routesName is the option with the paths whose requests are passed on. Its table comes as entries of their own.
const routesName = "routes"

const (
	// routesMax bounds the paths of a pool: each request is compared with each of them.
	routesMax = 256
	// routeTargetsMax bounds the targets of a path.
	routeTargetsMax = 256
	// routeSlotsMax and routeRetriesMax bound these options: larger numbers are mistakes.
	routeSlotsMax   = 1 << 20
	routeRetriesMax = 10
)

// routeOptions are the options of a path.
var routeOptions = map[string]func(r *Route, v value) error{
	"proxy":            addTarget,
	"host":             setRouteHost,
	"slots":            func(r *Route, v value) (err error) { r.Slots, err = v.orNone(1, routeSlotsMax); return },
	"retries":          func(r *Route, v value) (err error) { r.Retries, err = v.orNone(0, routeRetriesMax); return },
	"connect_timeout":  setConnectTimeout,
	"response_timeout": func(r *Route, v value) (err error) { r.ResponseTimeout, err = v.duration(); return },
	"stall_timeout":    func(r *Route, v value) (err error) { r.StallTimeout, err = v.duration(); return },
	"stream_timeout":   func(r *Route, v value) (err error) { r.StreamTimeout, err = v.duration(); return },
}

// newRoute is a route with the defaults.
func newRoute(path string) Route {
	return Route{Path: path, Retries: 1, ConnectTimeout: 3 * time.Second, ResponseTimeout: time.Minute, StallTimeout: time.Minute, StreamTimeout: time.Hour}
}

// orNone is an integer; false is 0.
func (v value) orNone(low, high int) (int, error) {
	if v.no() {
		return 0, nil
	}
	return v.integer(low, high)
}

// setRoute sets one value of routes: name is the path, a NUL, and the name of the option.
func (o *Options) setRoute(name string, v value) error {
	path, option, _ := strings.Cut(name, "\x00")
	wrap := func(err error) error { return fmt.Errorf("option routes: %q: %w", path, err) }
	at, found := slices.BinarySearchFunc(o.Routes, path, func(r Route, path string) int { return strings.Compare(r.Path, path) })
	if !found {
		if len(o.Routes) == routesMax {
			return fmt.Errorf("option routes: more than %d paths", routesMax)
		}
		if err := route.Check(path); err != nil {
			return wrap(err)
		}
		o.Routes = slices.Insert(o.Routes, at, newRoute(path))
	}
	set := routeOptions[option]
	switch {
	case option == "":
		return wrap(v.wrong(`a table, as in { proxy = "http://127.0.0.1:9000" }`))
	case set == nil:
		return wrap(unknown("option", option, slices.Collect(maps.Keys(routeOptions))))
	}
	if err := set(&o.Routes[at], v); err != nil {
		return wrap(fmt.Errorf("%s: %w", option, err))
	}
	return nil
}

// addTarget adds a target. A list of them comes as entries with the same key.
func addTarget(r *Route, v value) error {
	if !v.is(shm.TypeString) {
		return v.wrong(`a URL, as in "http://127.0.0.1:9000", or a list of them`)
	}
	target, named, err := targetOf(v.text)
	switch {
	case err != nil:
		return err
	case slices.Contains(r.Targets, target):
		return fmt.Errorf("%q is given twice", v.text)
	case len(r.Targets) == routeTargetsMax:
		return fmt.Errorf("more than %d targets", routeTargetsMax)
	case len(r.Targets) > 0 && (named || r.Named):
		return errors.New("a host name can only be the only target: write the addresses")
	}
	r.Targets, r.Named = append(r.Targets, target), named
	return nil
}

// targetOf is the target for a URL: an address with a port, a host name with a port, or unix: and a path.
func targetOf(text string) (target string, named bool, err error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		switch {
		case !strings.HasPrefix(path, "/"):
			return "", false, fmt.Errorf("%.128q is not unix: and the whole path of a socket", text)
		case len(path) > pathMax() || strings.ContainsRune(path, 0):
			return "", false, fmt.Errorf("%.128q is not the path of a socket: it has more than %d bytes, or a NUL", text, pathMax())
		}
		return text, false, nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "":
		return "", false, fmt.Errorf(`%.128q is not a URL, as in "http://127.0.0.1:9000" or "unix:/run/app.sock"`, text)
	case u.Scheme == "https":
		return "", false, errors.New("https is not supported: requests are passed on without encryption, over http")
	case u.Scheme != "http":
		return "", false, fmt.Errorf("%.128q does not begin with http://", text)
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return "", false, fmt.Errorf("%.128q has more than a host and a port: the path of the request is passed on as it is", text)
	}
	return hostPort(u)
}

// hostPort is the host of a URL with a port.
func hostPort(u *url.URL) (target string, named bool, err error) {
	port := u.Port()
	if port == "" {
		port = "80"
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", false, fmt.Errorf("%.16q is not a port", port)
	}
	host := u.Hostname()
	if a, err := netip.ParseAddr(host); err == nil {
		return netip.AddrPortFrom(a, uint16(n)).String(), false, nil
	}
	if host == "" || len(host) > 253 || strings.Trim(host, "0123456789.") == "" {
		return "", false, fmt.Errorf("%.64q is not a host", host)
	}
	return net.JoinHostPort(host, port), true, nil
}

func setRouteHost(r *Route, v value) error {
	switch {
	case v.is(shm.TypeString) && v.text == "client":
		r.HostOfTarget = false
	case v.is(shm.TypeString) && v.text == "target":
		r.HostOfTarget = true
	default:
		return errors.New(`is "client" or "target"`)
	}
	return nil
}

func setConnectTimeout(r *Route, v value) (err error) {
	if r.ConnectTimeout, err = v.duration(); err == nil && r.ConnectTimeout == 0 {
		err = errors.New("must be greater than 0")
	}
	return err
}

// checkRoutes checks what the routes need.
func (s *Spec) checkRoutes() error {
	if len(s.Options.Routes) == 0 {
		return nil
	}
	for i := range s.Options.Routes {
		if r := &s.Options.Routes[i]; len(r.Targets) == 0 {
			return fmt.Errorf("option routes: %q: proxy is missing", r.Path)
		}
	}
	if !slices.ContainsFunc(s.Listeners, func(l Listener) bool { return l.HTTP != nil }) {
		return errors.New("option routes: no listener of the pool has an HTTP handler")
	}
	return nil
}
