-- Arguments: a directory with the files a.pem and a-key.pem.
local http = require "moonbridge_http"
local dir = ...
local tls = { cert = dir .. "/a.pem", key = dir .. "/a-key.pem" }

listen {
	{ proto = "tcp4", port = 0, localhost = true, tls = tls },
	{ proto = "tcp4", port = 0, localhost = true, tls = tls, http2 = false },
	{ proto = "tcp4", port = 0, localhost = true, http2 = "h2c" },
	{ proto = "tcp4", port = 0, localhost = true },
	max_fork = 4,
	connect = http.generate_handler(function(request)
		if request.path == "hints" then
			request:send_status("103 Early Hints")
			request:send_header("Link", "</a.css>; rel=preload")
			request:finish_headers()
		end
		request:send_status("200 OK")
		request:send_header("X-Length", #request.body)
		request:send_data(request.http_version, " ", request.scheme, " ", tostring(request.tls and request.tls.alpn), " ",
			request.method, " ", request.path, "\n", request.body)
	end),
}
