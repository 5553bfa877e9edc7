package listen

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"moonbridge/handler/shm"
)

// entry is one option of a listen{} call: of the pool (scope 0) or of a listener (from 1).
type entry struct {
	scope uint32
	name  string
	value value
}

// listenersMax bounds the listeners of one listen{} call: shm.Head.Listener has 16 bits.
const listenersMax = 1 << 10

// Decode reads the body of a MsgListen: what a listen{} call asks for. The text of an error is for the author of the script.
func Decode(msg []byte) (*Spec, error) {
	entries, err := splitEntries(msg)
	if err != nil {
		return nil, err
	}
	spec := &Spec{Options: Defaults()}
	var connect value
	for _, e := range entries {
		if e.scope == 0 {
			err = spec.Options.set(e, &connect)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := spec.Options.complete(forkDefaults(entries)); err != nil {
		return nil, err
	}
	for len(entries) > 0 {
		scope := entries[0].scope
		n := slices.IndexFunc(entries, func(e entry) bool { return e.scope != scope })
		if n < 0 {
			n = len(entries)
		}
		if scope > 0 {
			l, err := newListener(entries[:n], connect)
			if err != nil {
				return nil, fmt.Errorf("listener %d: %w", scope, err)
			}
			spec.Listeners = append(spec.Listeners, l)
		}
		entries = entries[n:]
	}
	if len(spec.Listeners) == 0 {
		return nil, errors.New("no listener in the table")
	}
	spec.Options.sortErrorPages()
	if err := spec.checkMains(); err != nil {
		return nil, err
	}
	if err := spec.checkRateLimit(); err != nil {
		return nil, err
	}
	if err := spec.checkRoutes(); err != nil {
		return nil, err
	}
	return spec, spec.checkStatic()
}

// checkMains refuses a pool in which main handlers, which do not end, would take all workers.
func (s *Spec) checkMains() error {
	mains := 0
	for i := range s.Listeners {
		if s.Listeners[i].Main() {
			mains++
		}
	}
	if others := len(s.Listeners) - mains; mains > s.Options.MaxFork || others > 0 && mains >= s.Options.MaxFork {
		return fmt.Errorf("max_fork (%d) is not enough: each listener of proto main needs a worker of its own", s.Options.MaxFork)
	}
	return nil
}

// forkDefaults returns the defaults of min_fork and max_fork. A pool whose listeners are all of proto main has one worker for
// each of them: it has nothing else to do.
func forkDefaults(entries []entry) (minFork, maxFork int) {
	listeners, mains := uint32(0), uint32(0)
	for _, e := range entries {
		listeners = max(listeners, e.scope)
		if e.scope > 0 && e.name == "proto" && e.value.text == "main" {
			mains++
		}
	}
	if mains > 0 && mains == listeners {
		return int(mains), int(mains)
	}
	return minForkDefault, maxForkDefault
}

// splitEntries takes the message apart, ordered by scope. Scopes of listeners have no gaps.
func splitEntries(msg []byte) (entries []entry, err error) {
	const size = int(unsafe.Sizeof(shm.Entry{}))
	for len(msg) > 0 {
		if len(msg) < size {
			return nil, errors.New("malformed message")
		}
		word := func(i int) uint32 { return binary.NativeEndian.Uint32(msg[4*i:]) }
		keyLen, valLen := uint64(word(1)), uint64(word(2))
		e := entry{scope: word(0), value: value{typ: word(3)}}
		if keyLen+valLen > uint64(len(msg)-size) {
			return nil, errors.New("malformed message")
		}
		rest := msg[size:]
		e.name, e.value.text = string(rest[:keyLen]), string(rest[keyLen:keyLen+valLen])
		msg = rest[keyLen+valLen:]
		entries = append(entries, e)
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return int(int64(a.scope) - int64(b.scope)) })
	last := uint32(0)
	for _, e := range entries {
		if e.scope > last+1 {
			return nil, errors.New("malformed message")
		}
		last = e.scope
	}
	if last > listenersMax {
		return nil, fmt.Errorf("%d listeners: more than %d", last, listenersMax)
	}
	return entries, nil
}

// set sets an option of the pool.
func (o *Options) set(e entry, connect *value) error {
	if e.name == "connect" {
		*connect = e.value
		return checkConnect(e)
	}
	if e.name == httpOptionsName {
		o.HTTPOptions = true
		return nil
	}
	if rule, ok := strings.CutPrefix(e.name, staticName+"\x00"); ok {
		return o.setStatic(rule, e.value)
	}
	if rule, ok := strings.CutPrefix(e.name, routesName+"\x00"); ok {
		return o.setRoute(rule, e.value)
	}
	if e.name == trustedName+"\x00" {
		return o.addTrusted(e.value)
	}
	if page, ok := strings.CutPrefix(e.name, errorPageName+"\x00"); ok {
		return o.addErrorPage(page, e.value)
	}
	if name, ok := strings.CutPrefix(e.name, rateLimitName+"\x00"); ok {
		return o.setRateLimit(name, e.value)
	}
	set := poolOptions[e.name]
	if set == nil && isParameter(e.name) {
		return fmt.Errorf("%q belongs in a listener's own table, as in listen{ { proto = \"tcp4\", port = 8080 }, … }", e.name)
	}
	if set == nil {
		return unknownOption(e.name)
	}
	if err := set(o, e.value); err != nil {
		return fmt.Errorf("option %s: %w", e.name, err)
	}
	return nil
}

func checkConnect(e entry) error {
	if e.value.is(shm.TypeFunc) || e.value.is(shm.TypeHTTP) {
		return nil
	}
	return fmt.Errorf("%s: %w", e.name, e.value.wrong("function"))
}

// unknown is the error for an unknown name. If the name looks mistyped, it suggests the right one.
func unknown(what, name string, names []string) error {
	if like := Nearest(name, names); like != "" {
		return fmt.Errorf("unknown %s %.64q (did you mean %q?)", what, name, like)
	}
	return fmt.Errorf("unknown %s %.64q", what, name)
}

// otherNames are names under which other servers have what an option does.
var otherNames = map[string]string{
	"workers": "min_fork and max_fork", "processes": "min_fork and max_fork", "num_workers": "min_fork and max_fork",
	"threads": "max_fork", "timeout": "request_timeout", "handler": "connect", "on_request": "connect",
	"backlog": "queue_limit", "root": "static", "max_requests": "max_requests_per_fork",
}

// unknownOption is the error for an option of a pool. If it has no suggestion, it lists those that there are.
func unknownOption(name string) error {
	names := slices.Sorted(maps.Keys(poolOptions))
	all := append([]string{"connect"}, names...)
	if other := otherNames[name]; other != "" {
		return fmt.Errorf("unknown option %q: what it does elsewhere is done by %s here", name, other)
	}
	err := unknown("option", name, all)
	if Nearest(name, all) == "" {
		err = fmt.Errorf("%w; options are %s", err, strings.Join(all, ", "))
	}
	return err
}

// unknownParameter is the error for a parameter of a listener. Another proto may have it.
func unknownParameter(proto, name string) error {
	var others []string
	for other, names := range parameters {
		if names[name] != nil {
			others = append(others, other)
		}
	}
	if len(others) > 0 {
		slices.Sort(others)
		return fmt.Errorf("unknown parameter of proto %s: %q is one of proto %s", proto, name, strings.Join(others, ", "))
	}
	names := append(slices.Collect(maps.Keys(parameters[proto])), "proto", "connect")
	return unknown("parameter of proto "+proto+":", name, names)
}

// parameter reads one parameter of a listener.
type parameter func(l *Listener, v value) error

// parameters are those of each proto, besides proto, connect and handler.
var parameters = map[string]map[string]parameter{
	"tcp4":     {"port": setPort, "localhost": setLocalhost, tlsName: setTLS, redirectName: setRedirect, "proxy_protocol": setProxyProtocol, "http2": setHTTP2},
	"tcp6":     {"port": setPort, "localhost": setLocalhost, tlsName: setTLS, redirectName: setRedirect, "proxy_protocol": setProxyProtocol, "http2": setHTTP2},
	"tcp":      {"port": setPort, "host": setHost, tlsName: setTLS, redirectName: setRedirect, "proxy_protocol": setProxyProtocol, "http2": setHTTP2},
	"local":    {"path": setPath, "mode": setMode, "owner": setOwner, "group": setGroup, "proxy_protocol": setProxyProtocol, "http2": setHTTP2},
	"interval": {"delay": setDelay, "name": setName, "strict": setStrict},
	"main":     {"name": setName},
}

// required is the parameter that each proto needs, if it needs one.
var required = map[string]string{"tcp4": "port", "tcp6": "port", "tcp": "port", "local": "path", "interval": "delay"}

// protos lists them, for messages.
func protos() string {
	return "it is one of " + strings.Join(slices.Sorted(maps.Keys(parameters)), ", ")
}

// isParameter reports whether a listener of some proto has a parameter of that name.
func isParameter(name string) bool {
	for _, names := range parameters {
		if names[name] != nil {
			return true
		}
	}
	return name == "proto"
}

// newListener reads the entries of one listener. connect is the pool's.
func newListener(entries []entry, connect value) (l Listener, err error) {
	own, err := handlerOf(entries)
	if err != nil {
		return l, err
	}
	if own != nil {
		connect = own.value
	}
	if l.Proto, err = protoOf(entries); err != nil {
		return l, err
	}
	if l.Proto == "tcp" {
		l.Host = "::"
	}
	if err := l.setParameters(entries); err != nil {
		return l, err
	}
	if err := l.checkTLS(); err != nil {
		return l, err
	}
	if err := l.setConnect(connect, own); err != nil {
		return l, err
	}
	return l, l.checkFields()
}

// handlerOf returns the entry that is the listener's own handler; nil if it has none. handler is the name that WebMCP uses.
func handlerOf(entries []entry) (own *entry, err error) {
	for i, e := range entries {
		if e.name != "connect" && e.name != "handler" {
			continue
		}
		if own != nil {
			return nil, errors.New("connect and handler are two names for the same: use one of them")
		}
		own = &entries[i]
		if err := checkConnect(e); err != nil {
			return nil, err
		}
	}
	return own, nil
}

// protoOf returns the proto of a listener.
func protoOf(entries []entry) (proto string, err error) {
	for _, e := range entries {
		if e.name == "proto" {
			if proto, err = e.value.str(); err != nil {
				return "", fmt.Errorf("proto: %w", err)
			}
		}
	}
	if proto == "" {
		return "", errors.New("proto is missing: " + protos())
	}
	if parameters[proto] == nil {
		return "", fmt.Errorf("%w: %s", unknown("proto", proto, slices.Collect(maps.Keys(parameters))), protos())
	}
	return proto, nil
}

// setParameters reads the parameters of the listener's proto.
func (l *Listener) setParameters(entries []entry) error {
	known, needs := parameters[l.Proto], required[l.Proto]
	for _, e := range entries {
		if e.name == "proto" || e.name == "connect" || e.name == "handler" {
			continue
		}
		if option, ok := strings.CutPrefix(e.name, tlsName+"\x00"); ok && known[tlsName] != nil {
			if err := l.addTLS(option, e.value); err != nil {
				return err
			}
			continue
		}
		set := known[e.name]
		if set == nil {
			return unknownParameter(l.Proto, e.name)
		}
		if err := set(l, e.value); err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
		if e.name == needs {
			needs = ""
		}
	}
	if needs != "" {
		return fmt.Errorf("%s is missing", needs)
	}
	return nil
}

// setConnect decides how the listener is served. own: the handler is the listener's, not the pool's.
func (l *Listener) setConnect(v value, own *entry) (err error) {
	switch {
	case l.RedirectHTTPS != 0:
		return nil
	case v.is(shm.TypeNone):
		return errors.New("there is no connect handler, neither here nor in the pool's options")
	case v.is(shm.TypeHTTP) && l.Peerless() && own != nil:
		return fmt.Errorf("%s is an HTTP handler, but %s has no requests: use a plain function", own.name, l.kind())
	case v.is(shm.TypeHTTP) && l.Peerless():
		return fmt.Errorf("the pool's connect is an HTTP handler, but %s has no requests: "+
			"use a plain function for this listener", l.kind())
	case v.is(shm.TypeHTTP):
		if l.HTTP, err = newHTTPOptions(v.text); err != nil {
			return fmt.Errorf("HTTP handler: %w", err)
		}
	}
	return nil
}

// kind names a listener without a peer in messages.
func (l *Listener) kind() string {
	if l.Main() {
		return "proto main"
	}
	return "a timer"
}

func setPort(l *Listener, v value) (err error) {
	if !v.is(shm.TypeString) {
		if !v.is(shm.TypeNumber) {
			return v.wrong("integer or service name")
		}
		l.Port, err = v.integer(0, 65535)
		return err
	}
	if v.text == "" {
		return errors.New("service name is empty")
	}
	if l.Port, err = net.LookupPort("tcp", v.text); err != nil {
		return fmt.Errorf("unknown service %.64q", v.text)
	}
	return nil
}

func setLocalhost(l *Listener, v value) (err error) { l.Localhost, err = v.boolean(); return err }

func setProxyProtocol(l *Listener, v value) (err error) {
	l.ProxyProtocol, err = v.boolean()
	return err
}

func setHost(l *Listener, v value) (err error) {
	if l.Host, err = v.str(); err != nil {
		return err
	}
	if l.Host == "" || len(l.Host) > 255 || strings.ContainsAny(l.Host, "\x00 \r\n") {
		return fmt.Errorf("%.64q is not an address or a name", l.Host)
	}
	return nil
}

// pathMax is what sockaddr_un holds.
func pathMax() int {
	if runtime.GOOS == "linux" {
		return 107
	}
	return 103
}

func setPath(l *Listener, v value) (err error) {
	if l.Path, err = v.str(); err != nil {
		return err
	}
	switch {
	case l.Path == "":
		return errors.New("is empty")
	case len(l.Path) > pathMax():
		return fmt.Errorf("%d bytes long: more than %d", len(l.Path), pathMax())
	case strings.IndexByte(l.Path, 0) >= 0 || l.Path[0] == '@':
		// package net takes a leading @ for the abstract namespace, where nothing can be protected by permissions.
		return fmt.Errorf("%.128q is not a path of a file", l.Path)
	}
	return nil
}

func setOwner(l *Listener, v value) (err error) {
	l.Owner, err = account(v)
	return err
}

func setGroup(l *Listener, v value) (err error) {
	l.Group, err = account(v)
	return err
}

// account is the name of a user or group. A number is given as text, so that it is not taken for something else.
func account(v value) (string, error) {
	s, err := v.str()
	if err == nil && (s == "" || len(s) > 256 || strings.IndexByte(s, 0) >= 0) {
		err = fmt.Errorf("%.64q is not a name", s)
	}
	return s, err
}

func setMode(l *Listener, v value) error {
	if v.is(shm.TypeNumber) {
		return fmt.Errorf(`%w: write "0660", since a number would be decimal`, v.wrong("string"))
	}
	s, err := v.str()
	if err != nil {
		return err
	}
	mode, err := strconv.ParseUint(s, 8, 32)
	if err != nil || mode > 0o777 {
		return fmt.Errorf("%.16q is not an octal number up to 0777", s)
	}
	l.Mode, l.HasMode = os.FileMode(mode), true
	return nil
}

func setDelay(l *Listener, v value) (err error) {
	if !v.is(shm.TypeNumber) {
		return v.wrong("number (of seconds)")
	}
	if l.Delay, err = v.duration(); err == nil && l.Delay <= 0 {
		err = errors.New("must be greater than 0")
	}
	return err
}

func setName(l *Listener, v value) (err error) {
	if l.Name, err = v.str(); err == nil && len(l.Name) > math.MaxUint16 {
		err = errors.New("is too long")
	}
	return err
}

func setStrict(l *Listener, v value) (err error) { l.Strict, err = v.boolean(); return err }

// optionLines are the pairs of a text "name=value\n…".
func optionLines(text string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for l := range strings.Lines(text) {
			name, v, _ := strings.Cut(strings.TrimSuffix(l, "\n"), "=")
			if !yield(name, v) {
				return
			}
		}
	}
}
