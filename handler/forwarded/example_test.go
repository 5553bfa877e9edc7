package forwarded_test

import (
	"fmt"
	"net/netip"

	"moonbridge/handler/forwarded"
	"moonbridge/httpparse"
)

// The client has invented the first address. The last one was written by the proxy that is trusted.
func Example() {
	proxies, err := forwarded.New([]string{"10.0.0.0/8", "unix"})
	if err != nil {
		panic(err)
	}
	var p httpparse.Parser
	var h httpparse.Head
	request := "GET / HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-For: 1.1.1.1, 203.0.113.5\r\nX-Forwarded-Proto: https\r\n\r\n"
	if _, err := p.Parse(&h, []byte(request), nil); err != nil {
		panic(err)
	}

	proxies.Identify(&h, netip.MustParseAddr("10.0.0.7"))
	fmt.Println(h.Client, h.Secure)
	proxies.Identify(&h, netip.MustParseAddr("198.51.100.9")) // it is not trusted, so it is the client
	fmt.Println(h.Client.IsValid(), h.Secure)
	// Output:
	// 203.0.113.5 true
	// false false
}
