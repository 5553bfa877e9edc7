-- Writes the query to standard error.
local http = require "moonbridge_http"

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	connect = http.generate_handler(function(request)
		io.stderr:write(request.query:sub(2), "\n")
		request:send_status("200 OK")
	end),
}
