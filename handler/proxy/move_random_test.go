package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"moonbridge/engine"
	"moonbridge/handler/upstream"
)

// What a target does with a response, as the third part of a path says.
const (
	randomPlain  = iota
	randomCloses // after the body
	randomChunked
	randomHints // an interim response comes first
	randomResets
	randomExtra // more than was announced
	randomCut   // and then closes
	randomCutReset
	randomCutHalf // and then closes its side only
	randomKinds
)

// randomMax is the size of the largest body.
const randomMax = 1 << 20

// random is targets and clients that do what they like. The body of each response is a different one, so no byte of one can be taken for
// that of another.
type random struct {
	t     *testing.T
	noise []byte
	seeds atomic.Uint64
	ids   atomic.Int64
}

func (x *random) rand() *rand.Rand { return rand.New(rand.NewPCG(x.seeds.Add(1), 1)) }

// body is that of a request.
func (x *random) body(id, size int) []byte {
	at := id * 7919 % randomMax
	return x.noise[at : at+size]
}

// TestMovedRandomly: each client gets its own bytes and no others, and nothing looks complete that is not, whatever the sizes and the order of
// all that happens, and whoever goes away. At the end no pipe and no descriptor is left.
func TestMovedRandomly(t *testing.T) {
	x := &random{t: t, noise: []byte(varied(2 * randomMax))}
	seed := uint64(time.Now().UnixNano())
	t.Log("seed:", seed)
	x.seeds.Store(seed)
	script := func(p *peer) { x.serve(p, x.rand()) }
	a, b := newTarget(t, script), newTarget(t, script)
	before := openFiles(t)
	list := []upstream.Target{{Addr: a.addr()}, {Addr: b.addr()}}
	o := rigOptions{Config: Config{Retry: Retrying{Budget: -1, Times: 3}}, loops: 2, narrow: true}
	o.Options.Passive.Fails = -1
	t.Run("clients", func(t *testing.T) {
		var running sync.WaitGroup
		for _, limits := range []engine.Limits{{}, {SpoolOutput: 8 << 20}, {OutputBytes: 4096}, {SpoolOutput: 300 << 10, OutputBytes: 20_000}} {
			o.limits = limits
			r := newRigOf(t, o, list...)
			defer r.noPipes()
			for range 3 {
				rnd := x.rand()
				running.Go(func() {
					for range 6 {
						x.client(r.address, rnd)
					}
				})
			}
		}
		running.Wait()
	})
	for _, l := range append(a.idle(), b.idle()...) {
		l.Close()
	}
	until(t, "descriptors are closed", func() bool { return openFiles(t) <= before })
}

// serve is the script of a target.
func (x *random) serve(p *peer, r *rand.Rand) {
	if r.IntN(3) == 0 {
		p.Conn.(*net.TCPConn).SetWriteBuffer(8 << 10)
	}
	for text := p.request(); text != ""; text = p.request() {
		var id, size, kind int
		if n, _ := fmt.Sscanf(text[strings.Index(text, " ")+1:], "/%d/%d/%d", &id, &size, &kind); n != 3 {
			x.t.Errorf("the target got %q", text)
			return
		}
		if err := sendInParts(p, r, x.response(r, id, size, kind, strings.HasPrefix(text, "HEAD"))); err != nil {
			return
		}
		switch kind {
		case randomResets, randomCutReset:
			p.reset()
			return
		case randomCutHalf:
			p.closeWrite()
			p.wait()
			return
		case randomCloses, randomCut, randomExtra:
			return
		}
	}
}

func (x *random) response(r *rand.Rand, id, size, kind int, head bool) []byte {
	body, framing := x.body(id, size), fmt.Sprintf("Content-Length: %d", size)
	switch kind {
	case randomCut, randomCutReset, randomCutHalf:
		body = body[:r.IntN(size)]
	case randomExtra:
		body = append(slices.Clone(body), "extra"...)
	case randomChunked:
		framing = "Transfer-Encoding: chunked"
		body = fmt.Appendf(nil, "%x\r\n%s\r\n0\r\n\r\n", size, body)
	}
	if head {
		body = nil
	}
	hints := ""
	if kind == randomHints {
		hints = "HTTP/1.1 103 Early Hints\r\n\r\n"
	}
	return fmt.Appendf(nil, "%sHTTP/1.1 200 OK\r\nX-Id: %d\r\n%s\r\n\r\n%s", hints, id, framing, body)
}

// sendInParts writes all, at once or in parts of a size that it chooses.
func sendInParts(p *peer, r *rand.Rand, all []byte) error {
	most := []int{len(all), 1000, 16 << 10, 64 << 10, 256 << 10}[r.IntN(5)]
	for n := range slices.Chunk(all, most) {
		if _, err := p.Write(n); err != nil {
			return err
		}
	}
	return nil
}

// randomRequest is a request of a client.
type randomRequest struct {
	id, size, kind int
	method         string
}

func (x *random) request(r *rand.Rand) randomRequest {
	sizes := []int{1 + r.IntN(1000), 16_384, 16_385, 1 + r.IntN(70_000), 262_144, 1 + r.IntN(randomMax)}
	q := randomRequest{id: int(x.ids.Add(1)), size: sizes[r.IntN(len(sizes))], kind: r.IntN(2 * randomKinds), method: "GET"}
	if q.kind >= randomKinds {
		q.kind = randomPlain
	}
	if r.IntN(10) == 0 {
		q.method = "HEAD"
	}
	return q
}

// breaks reports whether the response may break off, and with it what was asked for together with it.
func (q randomRequest) breaks() bool { return q.kind >= randomResets }

// client sends requests on one connection, some of them together, until one of the two ends it.
func (x *random) client(address string, r *rand.Rand) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		x.t.Error(err)
		return
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if r.IntN(2) == 0 {
		c.(*net.TCPConn).SetReadBuffer(32 << 10) // with less, the system takes many seconds
	}
	in := bufio.NewReader(c)
	for range 1 + r.IntN(5) {
		var requests []randomRequest
		var text strings.Builder
		breaks := false
		for range 1 + r.IntN(2)*r.IntN(3) {
			q := x.request(r)
			requests = append(requests, q)
			breaks = breaks || q.breaks()
			fmt.Fprintf(&text, "%s /%d/%d/%d HTTP/1.1\r\nHost: x\r\n\r\n", q.method, q.id, q.size, q.kind)
		}
		io.WriteString(c, text.String())
		for _, q := range requests {
			if !x.takes(c, in, r, q, breaks) {
				return
			}
		}
	}
}

// takes reads a response, and checks it. It returns false if the connection is over.
func (x *random) takes(c net.Conn, in *bufio.Reader, r *rand.Rand, q randomRequest, breaks bool) bool {
	res, err := http.ReadResponse(in, &http.Request{Method: q.method})
	for err == nil && res.StatusCode == 103 {
		res, err = http.ReadResponse(in, &http.Request{Method: q.method})
	}
	if err != nil || res.StatusCode != 200 {
		if !breaks {
			x.t.Errorf("%+v: %v, %v", q, res, err)
		}
		return false
	}
	if id := res.Header.Get("X-Id"); id != strconv.Itoa(q.id) {
		x.t.Errorf("%+v has the response of %s", q, id)
		return false
	}
	want := x.body(q.id, q.size)
	if q.method == "HEAD" {
		want = nil
	}
	most := int64(q.size) + 1
	if r.IntN(4) == 0 { // it goes away
		most = r.Int64N(most)
		c.(*net.TCPConn).SetLinger(r.IntN(2) - 1)
	}
	got, err := io.ReadAll(io.LimitReader(res.Body, most))
	if !bytes.HasPrefix(want, got) {
		x.t.Errorf("%+v: other bytes", q)
	}
	left := int64(len(got)) == most
	switch cut := q.kind >= randomCut && q.method == "GET"; {
	case left:
	case errors.Is(err, os.ErrDeadlineExceeded), err != nil && !breaks:
		x.t.Errorf("%+v: %d bytes, then %v", q, len(got), err)
	case err == nil && (cut || len(got) < len(want)):
		x.t.Errorf("%+v looks complete after %d bytes", q, len(got))
	}
	return !left && err == nil && !res.Close
}
