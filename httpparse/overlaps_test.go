package httpparse

import "testing"

func TestOverlaps(t *testing.T) {
	const end = "Host: h\r\n\r\n"
	for request, want := range map[string]bool{
		"GET / HTTP/1.1\r\n" + end:                                         true,
		"HEAD / HTTP/1.1\r\n" + end:                                        true,
		"OPTIONS * HTTP/1.1\r\n" + end:                                     true,
		"GET / HTTP/1.1\r\nConnection: keep-alive\r\n" + end:               true,
		"GET / HTTP/1.1\r\nContent-Length: 0\r\n" + end:                    true,
		"GET / HTTP/1.1\r\nContent-Length: 1\r\n" + end:                    false,
		"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + end:           false,
		"GET / HTTP/1.1\r\nConnection: close\r\n" + end:                    false,
		"GET / HTTP/1.1\r\nConnection: keep-alive, Upgrade\r\n" + end:      false,
		"GET / HTTP/1.1\r\nConnection: x\r\nConnection: upgrade\r\n" + end: false,
		"GET / HTTP/1.0\r\nConnection: keep-alive\r\n" + end:               false,
		"get / HTTP/1.1\r\n" + end:                                         false,
		"POST / HTTP/1.1\r\n" + end:                                        false,
		"DELETE / HTTP/1.1\r\n" + end:                                      false,
		"TRACE / HTTP/1.1\r\n" + end:                                       false,
	} {
		var p Parser
		h := Head{Upgrade: request[0] == 'g'} // left over from another request
		if n, err := p.Parse(&h, []byte(request), nil); n == 0 || err != nil {
			t.Errorf("%q: %d, %v", request, n, err)
		} else if h.Overlaps() != want {
			t.Errorf("%q: %v, want %v", request, h.Overlaps(), want)
		}
	}
}
