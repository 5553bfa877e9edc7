-- The smallest application: mbserve examples/hello.lua, then http://127.0.0.1:8080/?name=Moon
local http = require "moonbridge_http"

listen{
	{ proto = "tcp4", port = 8080, localhost = true },
	connect = http.generate_handler(function(request)
		request:send_status("200 OK")
		request:send_header("Content-Type", "text/plain")
		request:send_data("Hello, ", request.get_params.name or "world", "!\n")
		request:finish()
	end),
}
