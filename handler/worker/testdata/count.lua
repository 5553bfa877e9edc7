-- Answers with the number of requests that this worker has had.
local http = require "moonbridge_http"
local count = 0

listen{
	{ proto = "tcp4", port = 8080 },
	connect = http.generate_handler(function(request)
		count = count + 1
		request:send_status("200 OK")
		request:send_data(count)
	end)
}
