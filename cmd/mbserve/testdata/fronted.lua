-- What packaging/haproxy.cfg and packaging/nginx.conf expect.
local http = require "moonbridge_http"

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	{ proto = "tcp4", port = 0, localhost = true, proxy_protocol = true },
	trusted_proxies = { "127.0.0.1" },
	connect = http.generate_handler(function(request)
		request:send_status("200 OK")
		request:send_data(("%s %s %s"):format(request.client_ip, request.scheme, request.host))
	end),
}
