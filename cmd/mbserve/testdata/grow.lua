-- One worker at first, up to eight. /wait waits until the FIFO given as argument is opened.
local http = require "moonbridge_http"
local fifo = ...

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	pre_fork = 1, min_fork = 1, max_fork = 8, fork_delay = 0.01, exit_delay = 0.05,
	connect = http.generate_handler(function(request)
		if request.path == "wait" then
			io.stderr:write("waiting\n")
			io.open(fifo):close()
		end
		request:send_status("200 OK")
	end),
}
