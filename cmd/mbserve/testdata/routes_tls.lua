-- Arguments: the URL of a target with TLS, its authority, the URL of a target without TLS, and the key of the authority if there is to be a listener
-- with TLS.
local http = require "moonbridge_http"
local secure, ca, plain, key = ...

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	key and { proto = "tcp4", port = 0, localhost = true, tls = { cert = ca, key = key } } or nil,
	routes = {
		["/secure/"] = { proxy = secure, ca = ca, host = "target" },
		["/stripped/"] = { proxy = secure, ca = ca, strip_prefix = true },
		["/named/"] = { proxy = secure, ca = ca, server_name = "localhost" },
		["/other/"] = { proxy = secure, ca = ca, server_name = "other.test", retries = 0 },
		["/unknown/"] = { proxy = secure, retries = 0 },
		["/clear/"] = { proxy = plain:gsub("http:", "https:"), retries = 0 },
		["/proxied/"] = { proxy = secure, ca = ca, proxy_protocol = 2 },
		["/proxied1/"] = { proxy = plain, proxy_protocol = 1 },
		["/weighted/"] = { proxy = { plain, "http://127.0.0.1:1" }, weights = { 3, 1 }, check = "/health" },
	},
	min_fork = 1, max_fork = 1,
	connect = http.generate_handler(function(request) request:send_status("200 OK") end),
}
