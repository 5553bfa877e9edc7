package limits_test

import (
	"fmt"
	"testing"
	"time"

	"moonbridge/engine"
	"moonbridge/handler/pool/limits"
	"moonbridge/handler/pool/listen"
	"moonbridge/httpparse"
)

func ExampleOf() {
	l := limits.Of(&listen.HTTPOptions{RequestBodySizeLimit: 1 << 20, IdleTimeout: 30 * time.Second, StreamBody: true})
	fmt.Println(l.BodyBytes, l.IdleTimeout, l.HeadTimeout < 0, l.SpoolBody)
	// Output: 1048576 30s true false
}

func TestOf(t *testing.T) {
	refuse := httpparse.CodingsOf(httpparse.Identity)
	for _, tt := range []struct {
		name string
		in   listen.HTTPOptions
		want engine.Limits
	}{
		{"no limits", listen.HTTPOptions{}, engine.Limits{
			HeadBytes: 1, BodyBytes: 1, IdleTimeout: -1, HeadTimeout: -1, StallTimeout: -1, ResponseTimeout: -1, DrainTimeout: -1, SpoolBody: true, BodyCodings: refuse}},
		{"all", listen.HTTPOptions{
			RequestHeaderSizeLimit: 1000, RequestBodySizeLimit: 2000, IdleTimeout: 1, RequestHeaderTimeout: 2, StallTimeout: 3, ResponseTimeout: 4,
			DrainTimeout: 5, StreamBody: true, BufferResponse: 3000, StaticHeaders: "A: b\r\n", EncodedBody: listen.EncodedDecode, // that is up to the caller
		}, engine.Limits{
			HeadBytes: 1000, BodyBytes: 2000, IdleTimeout: 1, HeadTimeout: 2, StallTimeout: 3, ResponseTimeout: 4,
			DrainTimeout: 5, BufferBody: -1, SpoolOutput: 3000, Fields: "A: b\r\n"}},
	} {
		if got := limits.Of(&tt.in); got != tt.want {
			t.Errorf("%s:\n%+v, want\n%+v", tt.name, got, tt.want)
		}
	}
}
