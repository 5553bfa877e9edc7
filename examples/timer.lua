-- HTTP and a timer in one pool of workers: mbserve examples/timer.lua
--
-- Each listener may have its own connect handler. A tick needs a free worker, like a request. Which worker gets it
-- is not known beforehand: the log line shows whose count went up.
local http = require "moonbridge_http"

local ticks = 0 -- per worker: processes share nothing

listen{
	{ proto = "tcp4", port = 8080, localhost = true },
	{ proto = "interval", name = "minute", delay = 60, strict = true, connect = function(socket)
		ticks = ticks + 1
		io.stderr:write("tick of '", socket.interval, "', the ", ticks, ". in this worker\n") -- goes to the server's log
	end },
	connect = http.generate_handler(function(request)
		request:send_status("200 OK")
		request:send_header("Content-Type", "text/plain")
		request:send_data("This worker has heard ", ticks, " of the ticks.\n")
		request:finish()
	end),
}
