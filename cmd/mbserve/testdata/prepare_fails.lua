-- No worker can start while the file given as argument is missing.
local http = require "moonbridge_http"
local file = ...

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	fork_error_delay = 0.3, queue_timeout = 0.5,
	prepare = function() assert(io.open(file)):close() end,
	connect = http.generate_handler(function(request)
		request:send_status("200 OK")
		request:send_data("prepared")
	end),
}
