-- Requests that are passed on, files, and a handler. The arguments are two targets, a directory of files, and a FIFO that keeps the
-- only worker busy until somebody writes to it.
local http = require "moonbridge_http"
local first, second, dir, fifo = ...

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	routes = {
		["/api/"] = { proxy = first },
		["/api/v2/"] = { proxy = second, host = "target" },
		["/both/"] = { proxy = { first, second } },
		["/files/sub/"] = { proxy = first },
		["/exact"] = { proxy = first },
		["/gone/"] = { proxy = "http://127.0.0.1:1", connect_timeout = 1, retries = 0 },
		["/slow/"] = { proxy = first, response_timeout = 0.05 },
	},
	static = { ["/files/"] = dir, ["/api/v2/static/"] = { dir, missing = 404 } },
	trusted_proxies = { "127.0.0.2" },
	min_fork = 1, max_fork = 1,
	connect = http.generate_handler({ static_headers = { "X-Fixed: yes" } }, function(request)
		if request.path == "busy" then io.open(fifo):read("*a") end
		request:send_status("200 OK")
		request:send_data("handler ", request.path)
	end),
}
