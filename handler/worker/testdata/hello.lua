local http = require "moonbridge_http"

listen{
	{ proto = "tcp4", port = 8080 },
	connect = http.generate_handler(function(request)
		request:send_status("200 OK")
		request:send_header("Content-Type", "text/plain")
		request:send_data("Hello")
		request:finish()
	end)
}
