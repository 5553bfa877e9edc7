-- prepare and finish, and a finalizer, tell when they run.
local http = require "moonbridge_http"
local prepared = 0
counter = newproxy(true)
getmetatable(counter).__gc = function() io.stderr:write("finalizer\n") end

listen{
	{ proto = "tcp4", port = 8080 },
	prepare = function() prepared = prepared + 1 end,
	connect = http.generate_handler(function(request)
		request:send_status("200 OK")
		request:send_data(prepared)
	end),
	finish = function()
		io.stderr:write("finish\n")
		error("finish failed")
	end
}
