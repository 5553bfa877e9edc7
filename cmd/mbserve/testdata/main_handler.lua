-- A main handler. The argument says what it does; a request for /… has it done at the right time.
local http = require "moonbridge_http"
local what, fifo = ...

local does = {}

function does.returns() io.open(fifo):close() end

function does.fails()
	io.open(fifo):close()
	error("on purpose")
end

function does.dies()
	io.open(fifo):close()
	os.exit(7)
end

function does.killed()
	io.open(fifo):close()
	os.execute("kill -KILL $PPID")
end

function does.overdue()
	io.open(fifo):close()
	timeout(0.01)
	while true do end
end

-- Runs for longer than any limit of the pool, then learns that it has to end, and takes its time.
function does.stops(poll)
	moonbridge_io.poll(nil, nil, 1.5)
	io.stderr:write("main runs as ", poll.main, "\n")
	local ready, message, stop = moonbridge_io.poll(nil, nil, nil, true)
	io.stderr:write("main is told: ", tostring(ready), ", ", tostring(stop), "\n")
	io.open(fifo):close()
	io.stderr:write("main ends\n")
end

listen{
	{ proto = "main", name = "events", handler = does[what] },
	{ proto = "tcp4", port = 0, localhost = true },
	request_timeout = what == "stops" and 1 or nil, max_fork = 3, max_requests_per_fork = 1,
	finish = function() io.stderr:write("finish\n") end,
	connect = http.generate_handler(function(request)
		request:send_status("200 OK")
		request:send_data("hello")
	end),
}
