-- Four workers, whose handlers begin a response and do not end it.
local http = require "moonbridge_http"
local fifo = ...

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	min_fork = 4, max_fork = 4,
	connect = http.generate_handler(function(request)
		request:send_status("200 OK")
		request:send_header("Content-Length", 10)
		request:send_data("some")
		request:flush()
		io.stderr:write("streaming\n")
		io.open(fifo):close()
	end),
	finish = function() io.stderr:write("finish\n") end,
}
