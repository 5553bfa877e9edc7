-- The same HTTP handler, served by the server and on raw connections. Both have lines in the access log.
local http = require "moonbridge_http"

local handler = http.generate_handler(function(request)
	local path = request.path
	if path == "fail" then error("on purpose") end
	request:send_status(path == "absent" and "404 Not Found" or "200 OK")
	if path == "cut" then
		request:send_header("Content-Length", 100)
		request:send_data("only this")
		request:flush()
		error("in the middle")
	end
	request:send_data("hello")
	if path == "parts" then
		request:flush()
		request:send_data(("x"):rep(100000))
	elseif path == "by%20hand" then
		request.socket:close()
	end
end)

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	{ proto = "tcp4", port = 0, localhost = true, connect = function(socket) return handler(socket) end },
	connect = handler
}
