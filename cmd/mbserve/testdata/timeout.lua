-- /loop never ends, and no debug hook would interrupt it.
local http = require "moonbridge_http"

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	request_timeout = 1,
	connect = http.generate_handler(function(request)
		while request.path == "loop" do end
		request:send_status("200 OK")
	end),
}
