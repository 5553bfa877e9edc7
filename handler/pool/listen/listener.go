package listen

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"moonbridge/handler/shm"
)

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
