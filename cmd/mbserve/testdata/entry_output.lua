-- Sends the number of bytes given by the path, waits until the FIFO given as first argument is opened, then sends the
-- end. The second argument is a Lua expression: options of generate_handler.
local http = require "moonbridge_http"
local load = loadstring or load
local fifo, options = ...

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	connect = http.generate_handler(load("return { " .. options .. " }")(), function(request)
		request:send_status("200 OK")
		request:send_data(("x"):rep(tonumber(request.path)))
		io.stderr:write("waiting\n")
		io.open(fifo):close()
		request:send_data("end")
	end),
}
