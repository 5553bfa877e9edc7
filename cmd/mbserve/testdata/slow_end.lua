-- A tick and a finish that wait until the FIFO given as first or second argument is opened.
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
