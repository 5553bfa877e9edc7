-- The pool serves a timer beside HTTP.
local http = require "moonbridge_http"
local ticks = {}

listen{
	{ proto = "tcp4", port = 8080 },
	{ proto = "interval", delay = 1, name = "clean", connect = function(timer)
		if timer.interval == "bad" then error("tick failed") end
		ticks[#ticks + 1] = timer.interval
	end },
	connect = http.generate_handler(function(request)
		request:send_status("200 OK")
		request:send_data(table.concat(ticks, " "))
	end)
}
