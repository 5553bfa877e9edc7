-- Two pools: one that serves HTTP on a free port, and one that only has a timer. Its argument is what it greets with.
local http = require "moonbridge_http"
local greeting = ...

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	min_fork = 1,
	connect = http.generate_handler({ request_body_size_limit = 100 }, function(request)
		if request.path == "slow" then
			io.stderr:write("slow has begun\n")
			os.execute("sleep 0.5")
		end
		request:send_status("200 OK")
		request:send_data(greeting, " ", request.path, " ", #request.body, "\n")
		request:finish()
	end),
	finish = function() io.stderr:write("finish of the server's pool\n") end,
}

listen{
	{ proto = "interval", delay = 0.05, name = "tick" },
	min_fork = 1,
	connect = function(timer) io.stderr:write("timer ", timer.interval, "\n") end,
}
