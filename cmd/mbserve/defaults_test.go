package main

import (
	"context"
	"testing"

	"moonbridge/engine"
	"moonbridge/handler/compress"
	"moonbridge/handler/pool"
)

// The defaults of generate_handler are written in C, where a script gets them, and those of engine.Limits in Go. A handler
// without options gets the limits that the engine has by itself.
func TestHTTPDefaults(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	specs, err := pool.Check(ctx, pool.Config{Script: "testdata/hello.lua"})
	if err != nil {
		t.Fatal(err)
	}
	if got := specs[0].Listeners[0].HTTP.Compress.MinBytes; got != compress.MinBytesDefault {
		t.Errorf("min_bytes of compress is %d, in Go %d", got, compress.MinBytesDefault)
	}
	want := engine.DefaultLimits()
	got := limitsOf(specs[0].Listeners[0].HTTP)
	got.BufferBody, got.OutputBytes, got.Overlap = want.BufferBody, want.OutputBytes, want.Overlap // no options of generate_handler
	want.SpoolBody, want.SpoolOutput = true, 1<<30                                                 // the engine spools only if it is asked to
	got.BodyCodings = 0                                                                            // the engine refuses none unless it is asked to
	if got != want {
		t.Errorf("generate_handler without options: %+v, engine.DefaultLimits: %+v", got, want)
	}
}
