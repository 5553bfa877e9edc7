package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"moonbridge/handler/pool"
	"moonbridge/handler/pool/listen"
)

// With --static, the server serves a directory and has no script. The rest of the server sees a generation with one pool that has
// neither workers nor a fork server.

// staticAddress is where --static listens by default.
const staticAddress = "127.0.0.1:8000"

// host is what runs the script of a generation.
type host interface {
	Pools() []*pool.Pool
	AwaitWorkers(context.Context) error
	Drain(context.Context)
	EndMains()
	Stop(context.Context) error
	Kill()
}

// noHost is the host of a generation without a script.
type noHost struct{}

func (noHost) Pools() []*pool.Pool                { return nil }
func (noHost) AwaitWorkers(context.Context) error { return nil }
func (noHost) Drain(context.Context)              {}
func (noHost) EndMains()                          {}
func (noHost) Stop(context.Context) error         { return nil }
func (noHost) Kill()                              {}

// loadDirectory starts a generation that serves a directory.
func (g *generation) loadDirectory() (*generation, error) {
	g.host = noHost{}
	spec, err := directorySpec(g.s.o)
	if err == nil {
		err = g.open(0, spec)
	}
	if err != nil {
		return nil, err
	}
	return g, nil
}

// directorySpec is what a script would ask for that does the same.
func directorySpec(o *options) (*listen.Spec, error) {
	address := o.listen
	address = cmp.Or(address, staticAddress)
	hostName, port, err := splitAddress(address)
	if err != nil {
		return nil, fmt.Errorf("--listen %s: %w", address, err)
	}
	return &listen.Spec{
		Options: listen.Options{Static: []listen.StaticRule{
			{Prefix: "/", Path: o.static, Index: "index.html", Listing: true, NotFound: true, Precompressed: true, Compress: true},
		}},
		Listeners: []listen.Listener{{Proto: "tcp", Host: hostName, Port: port, HTTP: &listen.HTTPOptions{}}},
	}, nil
}

// splitAddress reads host:port, :port for all interfaces, or a port of 127.0.0.1.
func splitAddress(s string) (hostName string, port int, err error) {
	text := s
	if strings.Contains(s, ":") {
		if hostName, text, err = net.SplitHostPort(s); err != nil {
			return "", 0, errors.New("is not host:port")
		}
		hostName = cmp.Or(hostName, "::")
	} else {
		hostName = "127.0.0.1"
	}
	if port, err = strconv.Atoi(text); err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("%q is not a port", text)
	}
	return hostName, port, nil
}
