package upstream

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// Resolver looks up the addresses of a host. *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// everyDefault is how often Follow looks up a name.
const everyDefault = 30 * time.Second

// Follow makes the addresses of a name the targets of the Set, and goes on to look them up, on a goroutine, until ctx is over or the Set
// is closed. like
// is the target that they are made from: its Addr is "host:port". An answer that is empty, or an error, changes nothing. r is
// net.DefaultResolver if nil, every is 30 s if 0.
//
// The first lookup is made before Follow returns. Its error is returned; the goroutine runs nevertheless.
func (s *Set) Follow(ctx context.Context, like Target, r Resolver, every time.Duration) error {
	host, text, err := net.SplitHostPort(like.Addr)
	if err != nil {
		return fmt.Errorf("target %q: %w", like.Addr, err)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return fmt.Errorf("target %q: %w", like.Addr, ErrAddress)
	}
	like.Name = cmp.Or(like.Name, host)
	if r == nil {
		r = net.DefaultResolver
	}
	f := follower{s, like, r, host, uint16(port)}
	err = f.update(ctx)
	go f.run(ctx, cmp.Or(max(every, 0), everyDefault))
	return err
}

// follower keeps a Set up to date with a name.
type follower struct {
	set  *Set
	like Target
	r    Resolver
	host string
	port uint16
}

func (f *follower) run(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.set.ended:
			return
		case <-tick.C:
			_ = f.update(ctx) // the targets stay as they are
		}
	}
}

// update looks the name up once. A server that does not answer must not keep the next lookup waiting.
func (f *follower) update(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	found, err := f.r.LookupNetIP(ctx, "ip", f.host)
	if err != nil {
		return fmt.Errorf("look up %q: %w", f.host, err)
	}
	if len(found) == 0 {
		return fmt.Errorf("look up %q: no address", f.host)
	}
	var targets []Target
	for _, ip := range found {
		t := f.like
		t.Addr = netip.AddrPortFrom(ip.Unmap(), f.port).String()
		if !slices.ContainsFunc(targets, func(other Target) bool { return other.Addr == t.Addr }) {
			targets = append(targets, t)
		}
	}
	return f.set.Replace(targets...)
}

const lookupTimeout = 10 * time.Second
