package main

import (
	"log/slog"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/compress"
	"moonbridge/handler/pool/listen"
	"moonbridge/handler/route"
	"moonbridge/httpparse"
)

// endBackend is the end of a chain: it has all optional interfaces of a LoopBackend, but takes no exchange.
type endBackend struct {
	overlap int
	pressed bool
}

func (b *endBackend) Attach(backend.Loop) (backend.LoopBackend, error) { return b, nil }

func (b *endBackend) Start(backend.Exchange, *httpparse.Head, int, []byte, bool) (backend.Running, error) {
	return nil, backend.ErrStopped
}

func (b *endBackend) StartFile(backend.Exchange, *httpparse.Head, int, backend.File, []byte) (backend.Running, error) {
	return nil, backend.ErrStopped
}

func (b *endBackend) Overlap() int  { return b.overlap }
func (b *endBackend) Pressed() bool { return b.pressed }

// chainLoop is a loop that never turns.
type chainLoop struct{}

func (chainLoop) Index() int                                { return 0 }
func (chainLoop) Count() int                                { return 1 }
func (chainLoop) Post(func())                               {}
func (chainLoop) Now() int64                                { return 1 }
func (chainLoop) Clock() int64                              { return 1 }
func (chainLoop) After(time.Duration, func()) backend.Timer { return nil }
func (chainLoop) Watch(int, func()) error                   { return nil }
func (chainLoop) Unwatch(int) error                         { return nil }
func (chainLoop) OnTurn(backend.Turn)                       {}
func (chainLoop) OffTurn(backend.Turn)                      {}

// Whatever stands in front of a pool, the engine finds the pool's optional interfaces.
func TestChainForwards(t *testing.T) {
	with := map[string]func(*listen.HTTPOptions, *listen.Options){
		"nothing":  func(*listen.HTTPOptions, *listen.Options) {},
		"decode":   func(h *listen.HTTPOptions, _ *listen.Options) { h.EncodedBody = listen.EncodedDecode },
		"compress": func(h *listen.HTTPOptions, _ *listen.Options) { h.Compress = listen.Compress{On: true} },
		"cache":    func(h *listen.HTTPOptions, _ *listen.Options) { h.Cache = listen.Cache{ID: 1, Bytes: 1 << 20} },
		"rate_limit": func(_ *listen.HTTPOptions, o *listen.Options) {
			o.RateLimit = &listen.RateLimit{Rate: 1, Burst: 1, Key: "ip"}
		},
		"static": func(_ *listen.HTTPOptions, o *listen.Options) {
			o.Static = []listen.StaticRule{{Prefix: "/", Path: t.TempDir()}}
		},
		"routes":      func(_ *listen.HTTPOptions, o *listen.Options) { o.Routes = []listen.Route{{Path: "/r/"}} },
		"all of them": nil,
	}
	all := with
	with["all of them"] = func(h *listen.HTTPOptions, o *listen.Options) {
		for name, set := range all {
			if name != "all of them" {
				set(h, o)
			}
		}
	}
	for name, set := range with {
		t.Run(name, func(t *testing.T) {
			g := &generation{s: &server{o: &options{}, compressor: compress.NewShared()}, log: slog.New(slog.DiscardHandler)}
			h, o := &listen.HTTPOptions{}, &listen.Options{}
			set(h, o)
			files, err := openStatic(o.Static, false, g.s.compressor)
			if err != nil {
				t.Fatal(err)
			}
			if files != nil {
				defer files.Close()
			}
			defer g.endCaches()
			end := &endBackend{}
			g.pools = []*listen.Spec{{Options: *o}}
			if err := g.openLimits(); err != nil {
				t.Fatal(err)
			}
			f := &front{files: files, paths: o.Static, limit: g.rates[0], loops: 1}
			for _, r := range o.Routes {
				f.rules = append(f.rules, route.Rule{Path: r.Path, To: &endBackend{}})
			}
			first, err := g.chain(end, h, f)
			if err != nil {
				t.Fatal(err)
			}
			lb, err := first.Attach(chainLoop{})
			if err != nil {
				t.Fatal(err)
			}
			if _, is := lb.(backend.FileBackend); !is {
				t.Error("takes no request bodies in files")
			}
			o1, overlapping := lb.(backend.Overlapping)
			p, pressable := lb.(backend.Pressable)
			if !overlapping || !pressable {
				t.Fatalf("Overlapping: %v, Pressable: %v", overlapping, pressable)
			}
			for i, pressed := range []bool{true, false} {
				end.overlap, end.pressed = i+3, pressed
				if o1.Overlap() != i+3 || p.Pressed() != pressed {
					t.Errorf("overlap %d, pressed %v; want %d, %v", o1.Overlap(), p.Pressed(), i+3, pressed)
				}
			}
		})
	}
}
