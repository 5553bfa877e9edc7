package proxy

import (
	"math"
	"reflect"
	"testing"
)

// FuzzResponse: whatever a target sends before it closes, the outcome does not depend on how the bytes are cut, or how fast the client
// takes them.
func FuzzResponse(f *testing.F) {
	for _, text := range chaoticAnswers {
		f.Add([]byte(text), uint16(len(text)/2), uint16(3), uint8(0))
	}
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;a\r\nx\r\n0\r\nT: t\r\n\r\n"), uint16(40), uint16(1), uint8(1))
	requests := []string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\n\r\n",
		"GET / HTTP/1.0\r\n\r\n", "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
	}
	f.Fuzz(func(t *testing.T, response []byte, cut, takes uint16, request uint8) {
		r := requests[int(request)%len(requests)]
		whole := play(t, r, string(response), true, 0, math.MaxInt)
		split := play(t, r, string(response), true, int(cut)%(len(response)+1), 1+int(takes))
		// What a client sees of a response that breaks off depends on time.
		same := whole.status == split.status && whole.end == split.end && whole.kept == split.kept
		if same && (whole.err != nil || split.err != nil) {
			return
		}
		if !reflect.DeepEqual(whole, split) {
			t.Errorf("%q: in one piece %+v, cut %+v", response, whole, split)
		}
	})
}
