-- Small limits for what clients may send.
local http = require "moonbridge_http"

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	connect = http.generate_handler({
		request_body_size_limit = 1000, request_header_size_limit = 2000,
		idle_timeout = 0.5, request_header_timeout = 0.5, stall_timeout = 0.5,
	}, function(request)
		local n = #request.body
		request:send_status("200 OK")
		request:send_data(n)
	end),
}
