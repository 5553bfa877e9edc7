-- Sends a first part, of as many bytes as the query says, then waits until the FIFO given as argument is opened.
-- Only /flush calls flush.
local http = require "moonbridge_http"
local fifo = ...

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	connect = http.generate_handler(function(request)
		request:send_status("200 OK")
		request:send_data(("x"):rep(tonumber(request.query:sub(2))))
		if request.path == "flush" then request:flush() end
		io.stderr:write("waiting\n")
		io.open(fifo):close()
		request:send_data("end")
	end),
}
