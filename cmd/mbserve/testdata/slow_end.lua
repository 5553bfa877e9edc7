-- A tick and a finish that wait until somebody opens the FIFO that is the first argument, or the second.
local http = require "moonbridge_http"
local tick, last = ...

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	{ proto = "interval", name = "tick", delay = 0.01, connect = function(timer)
		io.stderr:write("tick begins\n")
		io.open(tick):close()
		io.stderr:write("tick ends\n")
	end },
	min_fork = 1, max_fork = 1,
	connect = http.generate_handler(print),
	finish = function()
		io.stderr:write("finish begins\n")
		io.open(last):close()
		io.stderr:write("finish ends\n")
	end,
}
