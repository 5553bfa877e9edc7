-- Three workers. /wait answers when the FIFO given as argument is opened, and /N with N bytes. Everything else answers at once with
-- its path. Each handler says what it has served.
local http = require "moonbridge_http"
local fifo = ...

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	connect = http.generate_handler(function(request)
		local size = tonumber(request.path)
		if request.path == "wait" then
			io.stderr:write("waiting\n")
			io.open(fifo):close()
		end
		request:send_status("200 OK")
		request:send_data(size and ("x"):rep(size) or request.path)
		io.stderr:write("served ", request.path, "\n")
	end),
	min_fork = 3, max_fork = 3,
	gone_after = false, -- clients that close their sending side at once are answered on a busy machine too
}
