package servers

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"moonbridge/benchmarks/internal/probe"
)

// Workload is a request that servers answer. Only Name and Purpose have no useful zero value.
type Workload struct {
	Name    string
	Purpose string
	Conns   []int  // the numbers of connections at which it is usually measured
	NoTimes bool   // wrk's latencies are not to be used
	Beside  string // path of the requests that another wrk sends meanwhile, over BesideConns connections

	besideScript string // of these requests, like wrkScript

	servers   []string // those that have a handler for it
	handler   string   // the name of the handlers, "" if it is Name
	body      []byte   // nil for a GET
	bodyType  string   // Content-Type of body
	path      string   // of the requests; "" is /
	tls       bool     // clients speak TLS
	closes    bool     // each request asks to close its connection
	accessLog bool     // each request is logged to a file
	answers   string   // Content-Type of the answers, "" for text/plain
	wrkScript string   // in benchmarks/scripts, "" for a plain GET
	mbOptions []string // options that mbserve needs for a fair comparison
	fileBytes int      // size of the static file that is requested; 0: there is none, and the handler answers
	hugeFile  bool     // there is a sparse file of HugeBytes, too
	coding    string   // Content-Encoding that clients ask for, "" for none
	compress  bool     // the server compresses what the handler sends
	cached    bool     // the server keeps what the handler sends
	proxied   int      // size of the answer of the upstream that the servers pass requests on to; 0: there is none
	targetTLS bool     // the upstream speaks TLS
	origin    bool     // the server is to be the upstream itself, of a workload that Origin has returned
	upstream  string   // address of the upstream, of a workload that Through has returned
}

// BesideConns is the number of connections that send requests to Workload.Beside.
const BesideConns = 16

var (
	scripted    = []string{"mbserve", "nginx", "nethttp", "fasthttp", "onloop", "gnet", "limit"} // have a handler for hello
	luaServers  = []string{"mbserve", "nginx"}
	fileServers = []string{"mbserve", "nginx", "caddy"}
	goServers   = []string{"nethttp", "fasthttp"}
	waiting     = slices.Concat(luaServers, goServers) // handlers may wait
	computing   = slices.Concat(waiting, []string{"onloop"})
	fewConns    = []int{16}
	largeConns  = []int{16, 64}
	usualConns  = []int{64, 256}
	tlsServers  = []string{"mbserve", "nginx", "nethttp"}
	libraries   = []string{"nethttp", "fasthttp", "onloop", "adapter", "gnet"}
	proxies     = []string{"proxy", "nginx", "haproxy", "reverseproxy", "limit"}
	tlsProxies  = []string{"proxy", "nginx", "haproxy", "reverseproxy"}
	tcpProxies  = []string{"tcpproxy", "haproxy", "iocopy", "limit"}
	staticFiles = []string{"static=" + publicName}
	manyWorkers = []string{"pre_fork=64", "min_fork=64", "max_fork=64", "fork_delay=0.01"}
)

// Workloads lists all workloads.
var Workloads = []Workload{
	{Name: "hello", Purpose: "14 bytes, constant: the minimum cost of a request", Conns: []int{1, 16, 64, 256, 1024}, servers: scripted},
	{Name: "page", Purpose: "a page of 4 KB, 50 rows built by the handler", Conns: usualConns, servers: computing},
	{Name: "json", Purpose: "50 items built by the handler and encoded as JSON, 4.7 KB", Conns: usualConns, servers: computing,
		answers: "application/json"},
	{Name: "form", Purpose: "a posted form of 1 KiB (urlencoded) of which one field is read", Conns: usualConns, servers: computing,
		body: formBody(), bodyType: "application/x-www-form-urlencoded", wrkScript: "wrk-form.lua"},
	{Name: "echo", Purpose: "sends a posted body of 1 KiB back", Conns: usualConns, servers: computing,
		body: []byte(strings.Repeat("0123456789abcdef", 64)), bodyType: "application/octet-stream", wrkScript: "wrk-echo.lua"},
	{Name: "upload", Purpose: "counts the bytes of a posted body of 10 MiB as they arrive", Conns: fewConns,
		servers: []string{"mbserve", "nginx", "nethttp"}, wrkScript: "wrk-upload.lua", bodyType: "application/octet-stream",
		body:      []byte(strings.Repeat("0123456789abcdef", 10<<20/16)),
		mbOptions: []string{"http.stream_body=true", "http.maximum_input_chunk_size=65536"}},
	{Name: "download", Purpose: "sends 10 MiB in pieces of 64 KiB", Conns: fewConns, servers: []string{"mbserve", "nginx", "nethttp"}},
	// nginx and Go hold as many sleepers as there are connections; mbserve needs a worker for each.
	{Name: "blocking", Purpose: "the handler sleeps 2 ms (mbserve: blocks its worker, 64 of them answer at most 32,000/s)",
		Conns: usualConns, servers: waiting, mbOptions: manyWorkers},
	{Name: "beside", Purpose: "hello, while 16 other connections keep handlers busy that sleep 2 ms", Conns: []int{16, 64},
		servers: waiting, Beside: "/blocking", mbOptions: manyWorkers},
	// wrk corrects latencies by the mean time between answers, which is a sixteenth of the time of a batch here, and gets
	// percentiles of 0.
	{Name: "pipelined", Purpose: "hello, 16 requests sent at once", Conns: usualConns, servers: scripted, handler: "hello",
		wrkScript: "wrk-pipelined.lua", NoTimes: true},
	{Name: "connection", Purpose: "hello, a connection for each request", Conns: usualConns, servers: scripted, handler: "hello",
		closes: true, wrkScript: "wrk-connection.lua"},
	{Name: "accesslog", Purpose: "hello, each request logged to a file in the combined format", Conns: usualConns, servers: luaServers,
		handler: "hello", accessLog: true},
	{Name: "https", Purpose: "hello over TLS, on kept connections", Conns: usualConns, servers: tlsServers, handler: "sizes", tls: true},
	{Name: "handshake", Purpose: "hello over TLS, a connection and a whole handshake for each request", Conns: usualConns, servers: tlsServers,
		handler: "sizes", tls: true, closes: true, wrkScript: "wrk-connection.lua"},
	{Name: "besidehandshakes", Purpose: "hello over TLS on kept connections, while 16 other connections make a handshake for each request",
		Conns: []int{16, 64}, servers: tlsServers, handler: "sizes", tls: true, Beside: "/", besideScript: "wrk-connection.lua"},
	{Name: "https100k", Purpose: "100 KiB from memory over TLS, on kept connections", Conns: usualConns, servers: tlsServers, handler: "sizes",
		tls: true, path: largePath},
	{Name: "file1k", Purpose: "a static file of 1 KiB", Conns: usualConns, servers: fileServers, handler: "hello", answers: fileType,
		fileBytes: 1 << 10, mbOptions: staticFiles},
	{Name: "file100k", Purpose: "a static file of 100 KiB", Conns: usualConns, servers: fileServers, handler: "hello", answers: fileType,
		fileBytes: 100 << 10, mbOptions: staticFiles},
	{Name: "file10m", Purpose: "a static file of 10 MiB", Conns: largeConns, servers: fileServers, handler: "hello", answers: fileType,
		fileBytes: 10 << 20, mbOptions: staticFiles},
	{Name: "precompressed", Purpose: "a static text of 100 KiB with a compressed version beside it, sent to clients that accept gzip",
		Conns: usualConns, servers: fileServers, handler: "hello", answers: fileType, fileBytes: 100 << 10, mbOptions: staticFiles,
		coding: "gzip", wrkScript: "wrk-gzip.lua"},
	{Name: "compressed", Purpose: "a page of 20 KB made by the handler and compressed by the server with gzip", Conns: usualConns,
		servers: luaServers, answers: "text/html", mbOptions: []string{"http.compress=true"}, coding: "gzip", compress: true,
		wrkScript: "wrk-gzip.lua"},
	{Name: "cached", Purpose: "a page of 4 KB made by a handler that takes 20 ms, kept by the server for a second at a time",
		Conns: usualConns, servers: luaServers, mbOptions: []string{"http.cache=true"}, cached: true},
	{Name: "goserver", Purpose: "hello by libraries for Go: Moonbridge's loops and its adapter for net/http, others", handler: "hello",
		Conns: []int{16, 64, 256}, servers: libraries},
	// The server limit is the upstream itself, so it shows what the proxies add.
	{Name: "proxy1k", Purpose: "reverse proxies for HTTP: 1 KiB from an upstream that the servers share", Conns: usualConns,
		servers: proxies, proxied: 1 << 10},
	{Name: "proxy100k", Purpose: "reverse proxies for HTTP: 100 KiB from an upstream that the servers share", Conns: usualConns,
		servers: proxies, proxied: 100 << 10},
	{Name: "proxytls1k", Purpose: "reverse proxies for HTTP: 1 KiB from an upstream with TLS", Conns: usualConns,
		servers: tlsProxies, proxied: 1 << 10, targetTLS: true},
	{Name: "proxytls100k", Purpose: "reverse proxies for HTTP: 100 KiB from an upstream with TLS", Conns: usualConns,
		servers: tlsProxies, proxied: 100 << 10, targetTLS: true},
	{Name: "tcpproxy1k", Purpose: "proxies for TCP: 1 KiB from an upstream that the servers share", Conns: usualConns,
		servers: tcpProxies, proxied: 1 << 10},
	{Name: "tcpproxy100k", Purpose: "proxies for TCP: 100 KiB from an upstream that the servers share", Conns: usualConns,
		servers: tcpProxies, proxied: 100 << 10},
}

// fileType is the Content-Type of static files.
const fileType = "text/plain; charset=utf-8"

// SlowFiles returns what is measured beside slow readers of a huge static file: like hello, and FilePath is a static file of
// 1 KiB. It is not in Workloads.
func SlowFiles() Workload {
	return Workload{Name: "slowfiles", servers: luaServers, handler: "hello", fileBytes: 1 << 10, hugeFile: true, mbOptions: staticFiles}
}

// largePath is the path of the large answer of the handler sizes.
const largePath = "/100k"

// HTTP2 returns what is measured with HTTP/2: a short answer, and /100k. It is not in Workloads, since wrk speaks HTTP/1.1.
func HTTP2() Workload {
	return Workload{Name: "http2", servers: tlsServers, handler: "sizes", tls: true}
}

// formBody is the form that scripts/wrk-form.lua sends.
func formBody() []byte {
	form := "title=Order+no.+17&name=Man+in+the+Moon&email=moon%40example.org&agreed=yes&text=" +
		strings.Repeat("Gr%C3%BC%C3%9Fe+vom+Mond.+", 64)
	return []byte(form[:1024])
}

// FindWorkload returns the workload with this name.
func FindWorkload(name string) (Workload, error) {
	i := slices.IndexFunc(Workloads, func(w Workload) bool { return w.Name == name })
	if i < 0 {
		var names []string
		for _, w := range Workloads {
			names = append(names, w.Name)
		}
		return Workload{}, fmt.Errorf("unknown workload %q; the workloads are %s", name, strings.Join(names, ", "))
	}
	return Workloads[i], nil
}

// Has reports whether a server has a handler for the workload.
func (w Workload) Has(server string) bool { return slices.Contains(w.servers, server) }

// Upstream returns the name of the server that the servers of the workload pass requests on to, or "".
func (w Workload) Upstream() string {
	switch {
	case w.proxied == 0:
		return ""
	case w.targetTLS:
		return "nginx"
	}
	return "limit"
}

// Origin returns the workload as the upstream serves it.
func (w Workload) Origin() Workload {
	w.origin, w.tls = true, w.targetTLS
	return w
}

// Through returns the workload with the upstream at this address.
func (w Workload) Through(address string) Workload {
	w.upstream = address
	return w
}

func (w Workload) handlerName() string {
	if w.handler == "" {
		return w.Name
	}
	return w.handler
}

func (w Workload) answerType() string {
	if w.answers == "" {
		return "text/plain"
	}
	return w.answers
}

// Request returns the bytes of one request of the workload.
func (w Workload) Request(address string) []byte {
	method := "GET"
	var fields []probe.Field
	if w.body != nil {
		method = "POST"
		fields = append(fields, probe.Field{Name: "Content-Type", Value: w.bodyType})
	}
	if w.closes {
		fields = append(fields, probe.Field{Name: "Connection", Value: "close"})
	}
	if w.coding != "" {
		fields = append(fields, probe.Field{Name: "Accept-Encoding", Value: w.coding})
	}
	return probe.Request(method, address, w.Path(), w.body, fields...)
}

// Path returns the path of the requests.
func (w Workload) Path() string {
	switch {
	case w.path != "":
		return w.path
	case w.fileBytes == 0 || w.hugeFile:
		return "/"
	}
	return FilePath
}

// URL returns the URL of a path at address.
func (w Workload) URL(address, path string) string {
	if w.tls {
		return "https://" + address + path
	}
	return "http://" + address + path
}

// dial returns what opens a connection to address.
func (w Workload) dial(address string) probe.Dialer {
	return func() (*probe.Client, error) {
		if w.tls {
			return probe.DialTLS(address, probeTimeout)
		}
		return probe.Dial(address, probeTimeout)
	}
}

// Plain reports whether the requests are a GET without further fields, over TCP.
func (w Workload) Plain() bool { return !w.tls && w.wrkScript == "" && w.Beside == "" }

// WrkScript returns the path of wrk's script, or "".
func (w Workload) WrkScript(benchmarks string) string { return scriptPath(benchmarks, w.wrkScript) }

// BesideScript returns the path of wrk's script for the requests to Beside, or "".
func (w Workload) BesideScript(benchmarks string) string {
	return scriptPath(benchmarks, w.besideScript)
}

func scriptPath(benchmarks, name string) string {
	if name == "" {
		return ""
	}
	return filepath.Join(benchmarks, "scripts", name)
}
