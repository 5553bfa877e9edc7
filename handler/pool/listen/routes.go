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
	// checkPathMax bounds the path of health checks.
	checkPathMax = 1024
	// routeSlotsMax and routeRetriesMax bound these options: larger numbers are mistakes.
	routeSlotsMax   = 1 << 20
	routeWeightMax  = 1000
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
	"check":            setCheck,
	"weights":          addRouteWeight,
	"strip_prefix":     setStripPrefix,
	"proxy_protocol":   func(r *Route, v value) (err error) { r.ProxyProtocol, err = v.orNone(1, 2); return },
	"ca":               func(r *Route, v value) error { return setPathOf(&r.CA, v) },
	"server_name":      setServerName,
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
	target, named, secure, err := targetOf(v.text)
	switch {
	case err != nil:
		return err
	case slices.Contains(r.Targets, target):
		return fmt.Errorf("%q is given twice", v.text)
	case len(r.Targets) == routeTargetsMax:
		return fmt.Errorf("more than %d targets", routeTargetsMax)
	case len(r.Targets) > 0 && secure != r.TLS:
		return errors.New("the targets of a path have either all https or all http")
	case len(r.Targets) > 0 && (named || r.Named):
		return errors.New("a host name can only be the only target: write the addresses")
	}
	r.Targets, r.Named, r.TLS = append(r.Targets, target), named, secure
	return nil
}

// targetOf is the target for a URL: an address with a port, a host name with a port, or unix: and a path.
func targetOf(text string) (target string, named, secure bool, err error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		switch {
		case !strings.HasPrefix(path, "/"):
			return "", false, false, fmt.Errorf("%.128q is not unix: and the whole path of a socket", text)
		case len(path) > pathMax() || strings.ContainsRune(path, 0):
			return "", false, false, fmt.Errorf("%.128q is not the path of a socket: it has more than %d bytes, or a NUL", text, pathMax())
		}
		return text, false, false, nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "":
		return "", false, false, fmt.Errorf(`%.128q is not a URL, as in "http://127.0.0.1:9000" or "unix:/run/app.sock"`, text)
	case u.Scheme != "http" && u.Scheme != "https":
		return "", false, false, fmt.Errorf("%.128q does not begin with http:// or https://", text)
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return "", false, false, fmt.Errorf("%.128q has more than a host and a port: the path of the request is passed on as it is", text)
	}
	target, named, err = hostPort(u)
	return target, named, u.Scheme == "https", err
}

// hostPort is the host of a URL with a port.
func hostPort(u *url.URL) (target string, named bool, err error) {
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "https":
		port = "443"
	default:
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

// addRouteWeight adds the weight of a target. A list of them comes as entries with the same key.
func addRouteWeight(r *Route, v value) error {
	n, err := v.integer(1, routeWeightMax)
	if err == nil && len(r.Weights) == routeTargetsMax {
		err = fmt.Errorf("more than %d numbers", routeTargetsMax)
	}
	r.Weights = append(r.Weights, n)
	return err
}

// setStripPrefix: only a path that stands for all below it can be taken off others.
func setStripPrefix(r *Route, v value) (err error) {
	if r.StripPrefix, err = v.boolean(); err == nil && r.StripPrefix && !strings.HasSuffix(r.Path, "/") {
		err = errors.New("the path of the route has to end in a slash")
	}
	return err
}

// setServerName sets the name that the certificates of all targets have to have.
func setServerName(r *Route, v value) (err error) {
	if r.ServerName, err = v.str(); err == nil && !isDomain(strings.ToLower(r.ServerName)) {
		err = fmt.Errorf("%.64q is not the name of a host", r.ServerName)
	}
	return err
}

// setCheck sets the path of health checks.
func setCheck(r *Route, v value) (err error) {
	if r.Check, err = v.str(); err == nil && (!strings.HasPrefix(r.Check, "/") || strings.TrimFunc(r.Check, isVisible) != "" || len(r.Check) > checkPathMax) {
		err = fmt.Errorf("%.64q is not a path that begins with a slash, in its encoded form", r.Check)
	}
	return err
}

func isVisible(r rune) bool { return r > ' ' && r < 0x7f }

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
		r := &s.Options.Routes[i]
		switch {
		case len(r.Targets) == 0:
			return fmt.Errorf("option routes: %q: proxy is missing", r.Path)
		case len(r.Weights) > 0 && (len(r.Weights) != len(r.Targets) || r.Named):
			return fmt.Errorf("option routes: %q: weights has to have a number for each target, none of which is a host name", r.Path)
		case !r.TLS && (r.CA != "" || r.ServerName != ""):
			return fmt.Errorf("option routes: %q: ca and server_name are for targets with https", r.Path)
		}
	}
	if !slices.ContainsFunc(s.Listeners, func(l Listener) bool { return l.HTTP != nil }) {
		return errors.New("option routes: no listener of the pool has an HTTP handler")
	}
	return nil
}
