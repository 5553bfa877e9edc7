package parity

import (
	"fmt"
	"strings"
)

// allCases are the cases, in the order of their subjects.
func allCases() []aCase {
	var all []aCase
	for _, list := range [][]aCase{
		responseCases(), requestCases(), parserCases(), uploadCases(), fileCases(), streamCases(), failureCases(), hijackCases(),
		connectCases(), proxyCases(), chiCases(), connectionCases(),
	} {
		all = append(all, list...)
	}
	return all
}

// methodOf is the method of a request.
func methodOf(request string) string {
	method, _, _ := strings.Cut(request, " ")
	return method
}

// says is a case in which the client sends a request, reads the response, and looks what becomes of the connection.
func says(name, request string) aCase {
	return aCase{name: name, talk: func(c *client) {
		c.send(request)
		c.response(methodOf(request))
		c.fate()
	}}
}

// saysRaw is says without a change of the line ends.
func saysRaw(name, request string) aCase {
	return aCase{name: name, talk: func(c *client) {
		c.sendRaw(request)
		c.response(methodOf(request))
		c.fate()
	}}
}

// gated is says with a handler that goes on each time that a part of the body was read.
func gated(name, request string, times int) aCase {
	return aCase{name: name, talk: func(c *client) {
		c.gates = times
		c.send(request)
		c.response(methodOf(request))
		c.fate()
	}}
}

func get(path string) string  { return "GET " + path + " HTTP/1.1\nHost: h\n\n" }
func head(path string) string { return "HEAD " + path + " HTTP/1.1\nHost: h\n\n" }

func post(path, fields, body string) string {
	return "POST " + path + " HTTP/1.1\nHost: h\n" + fields + fmt.Sprintf("Content-Length: %d\n\n%s", len(body), body)
}

func chunkedPost(path, fields, body string) string {
	return "POST " + path + " HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n" + fields + "\n" + body
}

func responseCases() (list []aCase) {
	for _, path := range []string{"nothing", "hello", "html", "png", "typed", "untyped", "encoded", "undated", "dated", "closing", "keeping",
		"length", "bad-length", "identity", "chunked-itself", "line-ends", "nul", "empty-field", "bad-name", "two-fields", "cookies", "redirect",
		"error", "not-found", "late", "two-writes", "too-much", "too-little", "typed-304", "upgrade-required", "length-204"} {
		list = append(list, says("response "+path, get("/"+path)))
	}
	for _, path := range []string{"nothing", "hello", "length", "typed-304", "error", "large?n=16000"} {
		list = append(list, says("HEAD "+path, head("/"+path)))
	}
	for _, path := range []string{"nothing", "hello", "large?n=160000", "closing", "flush", "hints"} {
		list = append(list, says("HTTP/1.0 "+path, "GET /"+path+" HTTP/1.0\n\n"))
	}
	for _, path := range []string{"hello", "flush"} {
		list = append(list, says("HTTP/1.0 keep-alive "+path, "GET /"+path+" HTTP/1.0\nConnection: keep-alive\n\n"))
	}
	for _, n := range []int{2048, 2064, 32768, 160000} {
		list = append(list, says(fmt.Sprintf("large %d", n), get(fmt.Sprintf("/large?n=%d", n))))
	}
	list = append(list, says("large with length", get("/large-length")))
	for _, status := range []int{201, 204, 205, 299, 304, 404, 413, 416, 422, 500, 503, 700} {
		list = append(list, says(fmt.Sprintf("status %d", status), get(fmt.Sprintf("/status?s=%d", status))))
	}
	for _, status := range []int{204, 205, 304, 404} {
		list = append(list, says(fmt.Sprintf("status %d with a body", status), get(fmt.Sprintf("/status-body?s=%d", status))))
	}
	return list
}

func requestCases() []aCase {
	return []aCase{
		says("request plain", get("/dump")),
		says("request fields", "GET /dump HTTP/1.1\nHost: h\nB: 2\na: 1\nA: 3\nX-Empty:\nCookie: c=d\n\n"),
		says("request query", get("/dump?a=b&c=%20d;e")),
		says("request escaped path", get("/dump/a%20b%2Fc")),
		says("request absolute", "GET http://other.test/dump?x HTTP/1.1\nHost: h\n\n"),
		says("request absolute without path", "GET http://other.test HTTP/1.1\nHost: h\n\n"),
		says("request path to be cleaned", get("/a/../dump")),
		says("request double slash", get("//dump")),
		says("request pattern", get("/item/7%2F8")),
		says("request wrong method for pattern", post("/item/7", "", "")),
		says("request other method", "BREW /dump HTTP/1.1\nHost: h\n\n"),
		says("request lower-case method", "get /dump HTTP/1.1\nHost: h\n\n"),
		says("request OPTIONS", "OPTIONS /dump HTTP/1.1\nHost: h\n\n"),
		says("request OPTIONS asterisk", "OPTIONS * HTTP/1.1\nHost: h\n\n"),
		says("request GET asterisk", "GET * HTTP/1.1\nHost: h\n\n"),
		says("request TRACE", "TRACE /dump HTTP/1.1\nHost: h\n\n"),
		says("request close", "GET /dump HTTP/1.1\nHost: h\nConnection: close\n\n"),
		says("request HTTP/1.0 with Host", "GET /dump HTTP/1.0\nHost: h\n\n"),
		says("request empty Host", "GET /dump HTTP/1.1\nHost:\n\n"),
		says("request Host with port", "GET /dump HTTP/1.1\nHost: h:8080\n\n"),
		says("request with a body by GET", "GET /echo HTTP/1.1\nHost: h\nContent-Length: 3\n\nabc"),
	}
}

func parserCases() []aCase {
	return []aCase{
		says("parser no Host", "GET /dump HTTP/1.1\n\n"),
		says("parser two Hosts", "GET /dump HTTP/1.1\nHost: a\nHost: b\n\n"),
		says("parser bad Host", "GET /dump HTTP/1.1\nHost: a b\n\n"),
		says("parser HTTP/1.2", "GET /dump HTTP/1.2\nHost: h\n\n"),
		says("parser HTTP/2.0", "GET /dump HTTP/2.0\nHost: h\n\n"),
		says("parser no version", "GET /dump\n\n"),
		says("parser garbage", "\x16\x03\x01\x00\x01\n\n"),
		says("parser space before colon", "GET /dump HTTP/1.1\nHost: h\nA : b\n\n"),
		says("parser no colon", "GET /dump HTTP/1.1\nHost: h\nA\n\n"),
		says("parser folded field", "GET /dump HTTP/1.1\nHost: h\nA: b\n c\n\n"),
		says("parser control character", "GET /dump HTTP/1.1\nHost: h\nA: b\x01c\n\n"),
		says("parser space in target", "GET /du mp HTTP/1.1\nHost: h\n\n"),
		says("parser fragment", "GET /dump#x HTTP/1.1\nHost: h\n\n"),
		says("parser bad escape", get("/dump/%zz")),
		says("parser both lengths", "POST /echo HTTP/1.1\nHost: h\nContent-Length: 3\nTransfer-Encoding: chunked\n\n3\nabc\n0\n\n"),
		says("parser equal lengths", "POST /echo HTTP/1.1\nHost: h\nContent-Length: 3\nContent-Length: 3\n\nabc"),
		says("parser different lengths", "POST /echo HTTP/1.1\nHost: h\nContent-Length: 3\nContent-Length: 4\n\nabcd"),
		says("parser negative length", "POST /echo HTTP/1.1\nHost: h\nContent-Length: -3\n\nabc"),
		says("parser length with sign", "POST /echo HTTP/1.1\nHost: h\nContent-Length: +3\n\nabc"),
		says("parser unknown coding", "POST /echo HTTP/1.1\nHost: h\nTransfer-Encoding: gzip\n\nabc"),
		says("parser coding twice", "POST /echo HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n0\n\n"),
		says("parser chunked in HTTP/1.0", "POST /echo HTTP/1.0\nTransfer-Encoding: chunked\n\n3\nabc\n0\n\n"),
		says("parser unknown expectation", "POST /echo HTTP/1.1\nHost: h\nExpect: x\nContent-Length: 3\n\nabc"),
		says("parser empty line first", "\n"+get("/hello")),
		saysRaw("parser line ends without CR", "GET /hello HTTP/1.1\nHost: h\n\n"),
		says("parser fields too large", "GET /hello HTTP/1.1\nHost: h\nA: "+strings.Repeat("a", 2<<20)+"\n\n"),
	}
}

func uploadCases() []aCase {
	form := "Content-Type: application/x-www-form-urlencoded\n"
	const multipart = "--B\r\nContent-Disposition: form-data; name=\"v\"\r\n\r\n1\r\n" +
		"--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x.txt\"\r\n\r\ndata\r\n--B--\r\n"
	waiting := func(name, path string, sends bool) aCase {
		return aCase{name: name, talk: func(c *client) {
			c.send("POST " + path + " HTTP/1.1\nHost: h\nExpect: 100-continue\nContent-Length: 5\n\n")
			if sends {
				c.head()
				c.sendRaw("hello")
			}
			c.response("POST")
			if !sends {
				c.finish() // net/http would wait for the body
			}
			c.fate()
		}}
	}
	large := strings.Repeat("x", 200_000)
	return []aCase{
		says("upload echo", post("/echo", "", "hello")),
		says("upload empty", post("/echo", "", "")),
		says("upload sum of much", post("/sum", "", strings.Repeat("x", 1<<20))),
		says("upload chunked", chunkedPost("/echo", "", "3\nabc\n2\nde\n0\n\n")),
		says("upload chunked empty", chunkedPost("/echo", "", "0\n\n")),
		says("upload chunk extension", chunkedPost("/echo", "", "3;a=b\nabc\n0\n\n")),
		says("upload bad chunk", chunkedPost("/echo", "", "zz\nabc\n0\n\n")),
		says("upload chunk without line end", chunkedPost("/echo", "", "3\nabcd\n0\n\n")),
		says("upload trailer", chunkedPost("/echo", "Trailer: Sum\n", "3\nabc\n0\nSum: 7\n\n")),
		says("upload trailer announced in vain", chunkedPost("/echo", "Trailer: Sum, Other\n", "3\nabc\n0\n\n")),
		says("upload trailer not announced", chunkedPost("/echo", "", "3\nabc\n0\nSum: 7\n\n")),
		says("upload trailer dump", chunkedPost("/dump", "Trailer: Sum\n", "0\nSum: 7\n\n")),
		says("upload forbidden trailer", chunkedPost("/echo", "Trailer: Content-Length\n", "3\nabc\n0\nContent-Length: 7\n\n")),
		says("upload form", post("/form?a=1", form, "a=2&b=3")),
		{name: "upload multipart", talk: func(c *client) {
			c.send(fmt.Sprintf("POST /multipart HTTP/1.1\nHost: h\nContent-Type: multipart/form-data; boundary=B\nContent-Length: %d\n\n", len(multipart)))
			c.sendRaw(multipart)
			c.response("POST")
			c.fate()
		}},
		says("upload no multipart", post("/multipart", "", "x")),
		says("upload within the limit", post("/limited", "", "abc")),
		says("upload above the limit", post("/limited", "", "abcd")),
		says("upload above the handler's limit", post("/limited-handler", "", "abcd")),
		says("upload unread", post("/unread", "", "hello")),
		says("upload unread 200 KB", post("/unread", "", large)),
		says("upload refused 200 KB", post("/unread-403", "", large)),
		says("upload unread chunked", chunkedPost("/unread", "", "3\nabc\n0\n\n")),
		says("upload half read", post("/half", "", large)),
		says("upload unread 1 MB", post("/unread", "", strings.Repeat("x", 1<<20))),
		says("upload body closed", post("/closed-body", "", "hello")),
		says("upload read after write", post("/read-after-write", "", "hello")),
		says("upload read without full duplex", post("/read-late", "", "hello")),
		says("upload read deadline", "POST /read-deadline HTTP/1.1\nHost: h\nContent-Length: 100000\n\n"),
		waiting("upload expected", "/echo", true),
		waiting("upload expected and not wanted", "/unread", false),
		waiting("upload expected and refused", "/unread-403", false),
		says("upload expected and sent at once", "POST /echo HTTP/1.1\nHost: h\nExpect: 100-continue\nContent-Length: 5\n\nhello"),
		says("upload expected by HTTP/1.0", "POST /echo HTTP/1.0\nExpect: 100-continue\nContent-Length: 5\n\nhello"),
		{name: "upload hints and then read", talk: func(c *client) {
			c.send("POST /hints-then-read HTTP/1.1\nHost: h\nExpect: 100-continue\nContent-Length: 5\n\n")
			c.head()
			c.goOn()
			c.head()
			c.sendRaw("hello")
			c.response("POST")
			c.fate()
		}},
		{name: "upload cut off", talk: func(c *client) {
			c.send("POST /echo HTTP/1.1\nHost: h\nContent-Length: 100000\n\nhello")
			c.finish()
			c.response("POST")
			c.fate()
		}},
	}
}

func fileCases() (list []aCase) {
	for _, path := range []string{"a.txt", "page.html", "large.bin", "empty", "missing", "sub", "sub/", "sub/index.html", "list/", "../a.txt"} {
		list = append(list, says("file "+path, get("/files/"+path)))
	}
	list = append(list, says("file HEAD", head("/files/a.txt")), says("file HEAD large", head("/files/large.bin")),
		says("file ServeFile", get("/serve-file")), says("file HTTP/1.0", "GET /files/large.bin HTTP/1.0\n\n"))
	for _, r := range []string{"bytes=0-0", "bytes=2-4", "bytes=-3", "bytes=5-", "bytes=5-100", "bytes=10-", "bytes=0-1,4-5", "bytes=x", "bytes=3-1", "lines=1-2"} {
		list = append(list, says("range "+r, "GET /files/a.txt HTTP/1.1\nHost: h\nRange: "+r+"\n\n"))
	}
	list = append(list, says("range of much", "GET /files/large.bin HTTP/1.1\nHost: h\nRange: bytes=1000-151000\n\n"))
	for _, field := range []string{
		"If-Modified-Since: Fri, 02 Jan 2026 03:04:05 GMT", "If-Modified-Since: Thu, 01 Jan 2026 03:04:05 GMT",
		"If-Unmodified-Since: Thu, 01 Jan 2026 03:04:05 GMT", `If-None-Match: "x"`, `If-None-Match: W/"x", "y"`, `If-None-Match: "y"`,
		`If-Match: "x"`, `If-Match: "y"`, `If-Match: *`, "If-Range: \"x\"\nRange: bytes=1-2", "If-Range: \"y\"\nRange: bytes=1-2",
	} {
		list = append(list, says("condition "+field, "GET /content HTTP/1.1\nHost: h\n"+field+"\n\n"))
	}
	return list
}

func streamCases() []aCase {
	leaves := func(name, path string, reads bool) aCase {
		return aCase{name: name, talk: func(c *client) {
			c.send(get(path))
			if reads {
				c.head()
			}
			c.conn.Close()
			c.noted()
		}}
	}
	return []aCase{
		says("stream flush", get("/flush")),
		says("stream flush HEAD", head("/flush")),
		says("stream flush empty", get("/flush-empty")),
		gated("stream events", get("/events"), 2),
		says("stream hints", get("/hints")),
		says("stream hints twice", get("/hints-twice")),
		says("stream processing", get("/processing")),
		says("stream hints late", get("/hints-late")),
		says("stream continue by the handler", post("/continue-itself", "", "abc")),
		says("stream trailers", get("/trailers")),
		says("stream trailers flushed", get("/trailers-flushed")),
		says("stream trailer prefix", get("/trailer-prefix")),
		says("stream trailer prefix without flush", get("/trailer-prefix-short")),
		says("stream trailers with length", get("/trailers-length")),
		says("stream trailers HEAD", head("/trailers")),
		says("stream trailers HTTP/1.0", "GET /trailers HTTP/1.0\n\n"),
		says("stream write deadline", get("/write-deadline")),
		says("timeout", get("/timeout")),
		says("no timeout", get("/no-timeout")),
		leaves("client leaves a stream", "/gone", true),
		leaves("client leaves before a response", "/gone-silent", false),
		leaves("client leaves a stream with CloseNotify", "/gone-notice", true),
		{name: "client stays, with CloseNotify", talk: func(c *client) {
			c.send(get("/stays"))
			c.response("GET")
			c.noted()
			c.fate()
		}},
		says("interfaces of the writer", get("/interfaces")),
		{name: "client finishes before a response", talk: func(c *client) {
			c.send(get("/gone-silent"))
			c.finish()
			c.noted()
			c.response("GET")
		}},
		{name: "context after the response", talk: func(c *client) {
			c.send(get("/after"))
			c.response("GET")
			c.noted()
			c.fate()
		}},
	}
}

func failureCases() []aCase {
	return []aCase{
		says("panic", get("/panic")),
		says("panic after a write", get("/panic-written")),
		gated("panic after a flush", get("/panic-flushed"), 1),
		gated("panic after a complete response", get("/panic-complete"), 1),
		{name: "panic after hints", talk: func(c *client) {
			c.send(get("/panic-hints"))
			c.head()
			c.goOn()
			c.response("GET")
			c.fate()
		}},
		says("abort", get("/abort")),
		says("abort after a write", get("/abort-written")),
		gated("abort after a flush", get("/abort-flushed"), 1),
		gated("abort of a length", get("/abort-length"), 1),
		says("abort after reading", post("/abort-read", "", "hello")),
		says("panic nil", get("/panic-nil")),
		says("panic by an invalid status", get("/panic-status")),
		says("panic recovered", get("/panic-recovered")),
		gated("response shorter than its length", get("/short-flushed"), 1),
	}
}

// switches is a case in which the connection leaves HTTP: the client talks in lines after the head.
func switches(name, request string, early string) aCase {
	return aCase{name: name, talk: func(c *client) {
		c.send(request)
		c.sendRaw(early)
		c.response("GET")
		c.reads(strings.ToUpper(early))
		if c.over {
			return
		}
		c.sendRaw("line\n")
		c.reads("LINE\n")
		c.finish()
		c.ends = true
		c.fate()
	}}
}

const upgradeFields = "Connection: upgrade\nUpgrade: lines\n"

func upgradeTo(path string) string {
	return "GET " + path + " HTTP/1.1\nHost: h\n" + upgradeFields + "\n"
}

func hijackCases() []aCase {
	noted := func(name, path string) aCase {
		return aCase{name: name, talk: func(c *client) {
			c.send(get(path))
			c.noted()
			c.ends = true
			c.fate()
		}}
	}
	return []aCase{
		switches("hijack", upgradeTo("/own-head"), ""),
		switches("hijack with early bytes", upgradeTo("/own-head"), "early\n"),
		switches("hijack without Upgrade", get("/own-head"), ""),
		switches("hijack with WriteHeader", upgradeTo("/written-head"), ""),
		switches("hijack with WriteHeader and early bytes", upgradeTo("/written-head"), "early\n"),
		switches("hijack with WriteHeader and Flush", upgradeTo("/flushed-head"), ""),
		switches("hijack for a goroutine", upgradeTo("/goroutine"), ""),
		switches("hijack after hints", upgradeTo("/hijack-hints"), ""),
		switches("hijack of a POST", post("/hijack-body", upgradeFields, ""), ""),
		switches("hijack of HTTP/1.0", "GET /own-head HTTP/1.0\n\n", ""),
		says("hijack without a response", get("/no-response")),
		says("hijack with a response of its own", get("/own-response")),
		says("hijack after WriteHeader 200", get("/written-200")),
		noted("hijack and then write", "/after-hijack"),
		{name: "hijack and panic", talk: func(c *client) {
			c.send(get("/panic-hijacked"))
			c.sendRaw("line\n")
			c.reads("LINE\n")
		}},
		says("hijack after a flush", get("/flush-then-hijack")),
		{name: "hijack of an upload", talk: func(c *client) {
			c.send("POST /hijack-body HTTP/1.1\nHost: h\nContent-Length: 100000\n\n")
			c.response("POST")
			c.ends = true
			c.finish()
			c.fate()
		}},
		says("no hijack after 101", upgradeTo("/no-hijack-101")),
		{name: "hijack and half-close", talk: func(c *client) {
			c.send(upgradeTo("/half-closing"))
			c.response("GET")
			c.ends = true
			c.fate()
			c.sendRaw("to the end")
			c.finish()
			c.noted()
		}},
	}
}

func connectCases() []aCase {
	to := func(target string) string { return "CONNECT " + target + " HTTP/1.1\nHost: " + target + "\n\n" }
	tunnel := func(name, port string) aCase {
		return aCase{name: name, talk: func(c *client) {
			c.send(to("a.test:" + port))
			c.head()
			c.sendRaw("line\n")
			c.reads("LINE\n")
			c.finish()
			c.ends = true
			c.fate()
		}}
	}
	return []aCase{
		says("CONNECT refused", to("a.test:1")),
		tunnel("CONNECT with WriteHeader", "2"),
		tunnel("CONNECT with a head of its own", "3"),
		says("CONNECT without port", to("a.test")),
		says("CONNECT to a path", "CONNECT /a HTTP/1.1\nHost: h\n\n"),
	}
}

func proxyCases() (list []aCase) {
	list = []aCase{
		says("proxy", get("/up/dump?a=b")),
		says("proxy HEAD", head("/up/dump")),
		says("proxy hop-by-hop fields", "GET /up/dump HTTP/1.1\nHost: h\nConnection: keep-alive, X-Hop\nX-Hop: 1\nTE: trailers\nX-Forwarded-For: 1.2.3.4\n\n"),
		says("proxy upload", post("/up/echo", "", "hello")),
		says("proxy chunked upload", chunkedPost("/up/echo", "", "3\nabc\n0\n\n")),
		says("proxy upload with trailer", chunkedPost("/up/echo", "Trailer: Sum\n", "3\nabc\n0\nSum: 7\n\n")),
		says("proxy missing", get("/up/missing")),
		says("proxy large", get("/up/large")),
		gated("proxy events", get("/up/events"), 1),
		says("proxy hints", get("/up/hints")),
		says("proxy trailers", get("/up/trailers")),
		switches("proxy upgrade", upgradeTo("/up/lines"), ""),
		says("proxy dead upstream", get("/dead/x")),
		{name: "proxy client leaves", talk: func(c *client) {
			c.send(get("/up/gone"))
			c.head()
			c.conn.Close()
			c.noted()
		}},
	}
	for _, path := range []string{"chunked", "length", "head", "nothing", "garbage", "close", "http10", "hop", "reason", "empty304"} {
		list = append(list, says("proxy upstream sends "+path, get("/raw/"+path)))
	}
	return list
}

func chiCases() []aCase {
	return []aCase{
		says("chi", get("/chi/hello")),
		says("chi HEAD", head("/chi/hello")),
		says("chi slash", get("/chi/hello/")),
		says("chi parameter", get("/chi/item/42")),
		says("chi no match", get("/chi/item/x")),
		says("chi POST", post("/chi/item", "", "x=y")),
		says("chi wrong method", post("/chi/hello", "", "")),
		says("chi abort", get("/chi/panic")),
		says("chi compressed", "GET /chi/compressed HTTP/1.1\nHost: h\nAccept-Encoding: gzip\n\n"),
		says("chi not compressed", get("/chi/compressed")),
		says("chi no cache", get("/chi/no-cache")),
		says("chi private", get("/chi/private")),
		says("chi authorized", "GET /chi/private HTTP/1.1\nHost: h\nAuthorization: Basic dTpw\n\n"),
		says("chi content type", post("/chi/json", "Content-Type: text/plain\n", "x")),
		says("chi request size", post("/chi/small", "", "abcd")),
		says("chi throttle", get("/chi/throttled")),
		says("chi flush", get("/chi/flush")),
		says("chi hijack", get("/chi/hijack")),
	}
}

func connectionCases() []aCase {
	several := func(name string, requests ...string) aCase {
		return aCase{name: name, talk: func(c *client) {
			c.send(strings.Join(requests, ""))
			for _, r := range requests {
				c.response(methodOf(r))
			}
			c.fate()
		}}
	}
	return []aCase{
		several("pipelined", get("/hello"), head("/hello"), get("/large?n=16000"), get("/flush")),
		several("pipelined POST", get("/hello"), post("/echo", "", "abc"), get("/hello")),
		several("pipelined after unread body", post("/unread", "", "abc"), get("/hello")),
		several("pipelined after 304", get("/typed-304"), get("/hello")),
		several("pipelined hints", get("/hints"), get("/hints-twice")),
		several("pipelined after panic", get("/hello"), get("/panic")),
		several("pipelined 1.0", "GET /hello HTTP/1.0\nConnection: keep-alive\n\n", get("/hello")),
		several("pipelined until close", get("/hello"), "GET /hello HTTP/1.1\nHost: h\nConnection: close\n\n"),
		several("pipelined after malformed", get("/hello"), "x\n\n"),
		{name: "requests one after the other", talk: func(c *client) {
			for _, r := range []string{get("/hello"), post("/echo", "", "abc"), get("/trailers"), get("/hints"), get("/status?s=204")} {
				c.send(r)
				c.response(methodOf(r))
			}
			c.fate()
		}},
		{name: "request in pieces", talk: func(c *client) {
			for _, piece := range []string{"GET /he", "llo HTTP/1.1\n", "Host: h", "\n", "\n"} {
				c.send(piece)
			}
			c.response("GET")
			c.fate()
		}},
		{name: "request and FIN", talk: func(c *client) {
			c.send(get("/hello"))
			c.finish()
			c.response("GET")
			c.ends = true
			c.fate()
		}},
		{name: "FIN", talk: func(c *client) { c.finish(); c.ends = true; c.fate() }},
		{name: "half a head and FIN", talk: func(c *client) { c.send("GET /hello HT"); c.finish(); c.response("GET"); c.ends = true; c.fate() }},
	}
}
