package forwarded

import (
	"fmt"
	"net/netip"
	"slices"

	"moonbridge/httpparse"
)

// hopsMax bounds how many proxies a request may have passed. Further entries are not read.
const hopsMax = 32

// unixPeer stands for the peers of Unix sockets in a list of networks.
const unixPeer = "unix"

// Trusted is a set of proxies. It does not change, and any goroutine may use it.
type Trusted struct {
	networks []netip.Prefix
	unix     bool
}

// New returns the proxies with these addresses and in these networks, as in "10.1.2.3", "10.0.0.0/8" and "fd00::/8". "unix" stands
// for all peers of Unix sockets.
func New(list []string) (*Trusted, error) {
	t := &Trusted{}
	for _, s := range list {
		if s == unixPeer {
			t.unix = true
			continue
		}
		n, err := network(s)
		if err != nil {
			return nil, err
		}
		t.networks = append(t.networks, n)
	}
	return t, nil
}

func network(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	n, err := netip.ParsePrefix(s)
	if err != nil || n.Addr().Is4In6() {
		return n, fmt.Errorf(`%.64q is neither an address, as in "10.1.2.3", nor a network, as in "10.0.0.0/8", nor "unix"`, s)
	}
	if n != n.Masked() {
		return n, fmt.Errorf("%q has bits after its first %d: did you mean %q?", s, n.Bits(), n.Masked())
	}
	return n, nil
}

// Has reports whether a proxy is one of them. a is in its own form, so an IPv4 address is no IPv6 one, and not valid for a peer of a
// Unix socket.
func (t *Trusted) Has(a netip.Addr) bool {
	if !a.IsValid() {
		return t.unix
	}
	return slices.ContainsFunc(t.networks, func(n netip.Prefix) bool { return n.Contains(a) })
}

// Identify sets Client and Secure of a request whose connection has this peer. Client is not valid if the peer is the client, or if
// a trusted proxy does not say who is.
//
// X-Forwarded-For and X-Forwarded-Proto count, and Forwarded only if there is no X-Forwarded-For: a proxy that writes one of them
// often lets the other pass, which then may be anybody's.
func (t *Trusted) Identify(h *httpparse.Head, peer netip.Addr) {
	h.Client, h.Secure = netip.Addr{}, false
	if !t.Has(peer) {
		return
	}
	if h.Find(forwardedField, 0) >= 0 && h.Find(forField, 0) < 0 {
		t.byForwarded(h)
		return
	}
	h.Secure = isSecure(protoAt(h, t.byFor(h)))
}

// byFor evaluates X-Forwarded-For. It returns how many entries were read.
func (t *Trusted) byFor(h *httpparse.Head) (hops int) {
	list := fromEnd{h: h, name: forField, before: len(h.Fields)}
	for hops < hopsMax {
		a := address(list.next())
		if !a.IsValid() {
			return hops
		}
		hops++
		if h.Client = a; !t.Has(a) {
			return hops
		}
	}
	return hops
}

// protoAt is the value of X-Forwarded-Proto that belongs to an entry of X-Forwarded-For: the n-th from the end if each proxy has
// appended one, or the first if there are fewer, as most proxies replace the field or let it pass.
func protoAt(h *httpparse.Head, n int) (proto []byte) {
	list := fromEnd{h: h, name: protoField, before: len(h.Fields)}
	for range max(n, 1) {
		next := list.next()
		if next == nil {
			break
		}
		proto = next
	}
	return proto
}

// byForwarded evaluates Forwarded.
func (t *Trusted) byForwarded(h *httpparse.Head) {
	list := fromEnd{h: h, name: forwardedField, before: len(h.Fields)}
	for range hopsMax {
		node, proto, ok := parseElement(list.next())
		if !ok {
			return
		}
		h.Secure = isSecure(proto)
		a := address(node)
		if !a.IsValid() {
			return // "unknown", or a name that only the proxy knows
		}
		if h.Client = a; !t.Has(a) {
			return
		}
	}
}

// isSecure reports whether a scheme is one of those over TLS.
func isSecure(proto []byte) bool {
	return httpparse.EqualFold(proto, "https") || httpparse.EqualFold(proto, "wss")
}
