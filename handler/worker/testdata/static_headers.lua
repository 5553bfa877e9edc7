-- Each listener has another form of static_headers.
local http = require "moonbridge_http"

local function handler(static)
	return http.generate_handler(function(request)
		if request.path == "hints" then
			request:send_status("103 Early Hints")
			request:finish_headers()
		end
		request:send_status("200 OK")
		request:send_header("A", "b")
	end, { static_headers = static })
end

local function port(static) return { proto = "tcp4", port = 8080, connect = handler(static) } end

listen{
	port("Server: x"),
	port("Server: x\nY:  z \r\n"),
	port({ "Server: x", "Y: z" }),
	port({ { "Server", "x" }, { "Y", 1 } }),
	port({ Server = "x" }),
	port({ "Y: z", Server = "x" }),
	port({ Date = "today", Connection = "close" }),
	connect = http.generate_handler(print)
}
