-- Sends back the body, preceded by the method. /refuse does not read the body.
local http = require "moonbridge_http"
local path = ...

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	{ proto = "local", path = path },
	connect = http.generate_handler({ request_body_size_limit = 20000000 }, function(request)
		if request.path == "refuse" then
			request:send_status("403 Forbidden")
			request:send_data("refused")
			return
		end
		if request.path == "length" then
			local n = 0
			request:stream_request_body(function(piece) n = n + #piece end)
			request:send_status("200 OK")
			request:send_data(n)
			return
		end
		local body = request.body
		request:send_status("200 OK")
		request:send_header("X-Method", request.method)
		if request.path == "flush" then request:flush() end
		request:send_data(body)
		if request.path == "flush" then request:flush() end
		request:send_data(" from ", request.method)
	end),
}
