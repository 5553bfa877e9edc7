-- For the tests of the admin listener: answers of known kinds.
local http = require "moonbridge_http"

local answers = {
	missing = function(request)
		request:send_status("404 Not Found")
		request:send_data("nothing")
	end,
	moved = function(request)
		request:send_status("302 Found")
		request:send_header("Location", "/ok")
	end,
	error = function()
		error("something is wrong")
	end,
	endless = function()
		while true do end
	end,
	hangs = function(request)
		os.execute("while [ ! -e " .. arg[1] .. " ]; do sleep 0.05; done")
		request:send_status("204 No Content")
	end,
	dies = function()
		os.execute("kill -9 $PPID")
	end,
}

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	{ proto = "interval", name = "cleanup", delay = 3600, connect = function() end },
	min_fork = 2, max_fork = 2, queue_limit = 1, queue_timeout = false, request_timeout = tonumber(arg[2]),
	connect = http.generate_handler({ request_body_size_limit = 100 }, function(request)
		local answer = answers[request.path]
		if answer then
			return answer(request)
		end
		request:send_status("200 OK")
		request:send_data("ok")
	end),
}
