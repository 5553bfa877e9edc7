package main

import (
	"net/http"
	"net/http/httputil"
	"net/url"

	"moonbridge/benchmarks/peers/workload"
)

// idleConns is above the largest number of connections that is measured. The default of net/http, 2 for each host, would make it
// open a connection for almost every request.
const idleConns = 1 << 14

func main() {
	address, upstream := workload.Args()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = idleConns, idleConns
	transport.Proxy = nil
	transport.DisableCompression = true
	to := &url.URL{Scheme: "http", Host: upstream}
	if c := workload.TargetTLS(); c != nil {
		to.Scheme, transport.TLSClientConfig = "https", c
		transport.ForceAttemptHTTP2 = false
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport: transport,
	}
	workload.Fail(http.ListenAndServe(address, proxy))
}
