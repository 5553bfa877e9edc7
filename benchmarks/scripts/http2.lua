-- Two answers over TLS: a short one, and /100k of 100 KB. mbserve http2.lua PORT CERT KEY

local http = require "moonbridge_http"

local port, cert, key = ...
local large = string.rep("x", 100 * 1024)

listen{
	{ proto = "tcp4", port = tonumber(port), localhost = true, tls = { cert = cert, key = key } },
	connect = http.generate_handler(function(request)
		request:send_status("200 OK")
		request:send_header("Content-Type", "text/plain")
		request:send_data(request.path == "100k" and large or "Hello, world!\n")
	end),
}
