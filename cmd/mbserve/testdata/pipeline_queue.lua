-- One worker, and a queue for two.
local http = require "moonbridge_http"

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	connect = http.generate_handler(function(request)
		request:send_status("200 OK")
		request:send_data(request.path)
	end),
	min_fork = 1, max_fork = 1, queue_limit = 2,
}
