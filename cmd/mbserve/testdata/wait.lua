-- /wait answers when the FIFO given as argument is opened; everything else answers at once.
local http = require "moonbridge_http"
local fifo = ...

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	connect = http.generate_handler(function(request)
		if request.path == "wait" then
			io.stderr:write("waiting\n")
			io.open(fifo):close()
		end
		request:send_status("200 OK")
		request:send_data("done")
	end),
	max_fork = 2,
	finish = function() io.stderr:write("finished\n") end,
}
