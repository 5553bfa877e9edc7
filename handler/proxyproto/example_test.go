package proxyproto_test

import (
	"fmt"
	"net/netip"

	"moonbridge/handler/proxyproto"
)

// A header is written, arrives in pieces, and is read.
func Example() {
	local, remote := netip.MustParseAddrPort("192.0.2.1:443"), netip.MustParseAddrPort("203.0.113.5:51234")
	header := proxyproto.Append(nil, 1, local, remote)
	fmt.Printf("%q\n", header)

	n, _, _, err := proxyproto.Parse(header[:20])
	fmt.Println(n, err) // more bytes are needed

	n, _, client, err := proxyproto.Parse(append(header, "GET / HTTP/1.1\r\n"...))
	fmt.Println(n == len(header), client, err)
	// Output:
	// "PROXY TCP4 203.0.113.5 192.0.2.1 51234 443\r\n"
	// 0 <nil>
	// true 203.0.113.5:51234 <nil>
}
