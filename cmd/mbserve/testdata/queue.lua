-- One worker, one place in the queue. /wait occupies the worker until the FIFO given as argument is opened. The second argument
-- is queue_timeout.
local http = require "moonbridge_http"
local fifo, timeout = ...

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	min_fork = 1, max_fork = 1, queue_limit = 1, queue_timeout = tonumber(timeout) or 0.4,
	connect = http.generate_handler(function(request)
		if request.path == "wait" then
			io.stderr:write("waiting\n")
			io.open(fifo):close()
		end
		request:send_status("200 OK")
		request:send_data("done")
	end),
}
