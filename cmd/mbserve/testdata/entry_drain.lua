-- Refuses large bodies, and drains their connections for a while.
local http = require "moonbridge_http"

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	connect = http.generate_handler({ request_body_size_limit = 10, drain_timeout = 4 }, function(request)
		request:send_status("200 OK")
	end),
}
