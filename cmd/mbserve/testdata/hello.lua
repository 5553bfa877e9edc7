-- Answers every request with the same text.
local http = require "moonbridge_http"

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	connect = http.generate_handler(function(request)
		request:send_status("200 OK")
		request:send_data("Hello, ", request.get_params.name or "world", "!\n")
		request:finish()
	end),
}
