-- What handlers do after their response is complete for the client, by path. The first argument is a FIFO that "wait" waits
-- for, the second one the name of a file with a line for each call, the third one request_timeout.
local http = require "moonbridge_http"
local fifo, calls, limit = ...

local after = {}
function after.wait()
	io.stderr:write("works on\n")
	io.open(fifo):close()
	io.stderr:write("has worked\n")
end
function after.exit() os.exit(0) end
function after.segfault() os.execute("kill -SEGV $PPID") end
function after.error() error("after the response") end
function after.overtime() while true do end end
function after.timeout() timeout(0.05) while true do end end
function after.memory()
	local t = {}
	while true do t[#t + 1] = ("x"):rep(10000) .. #t end
end
function after.body(request) io.stderr:write("body of ", #request.body, " bytes\n") end

local function finish(request)
	local f = io.open(calls, "a")
	f:write(request.path, "\n")
	f:close()
	request:send_status("200 OK")
	request:send_data("finished")
	request:finish()
	after[request.path](request)
end

-- Streams without an end. Each write fails when the client has gone.
local streams = {}
function streams.events(request) request:send_status("200 OK") end
function streams.slow(request) request:send_status("200 OK") end
function streams.nothing(request) request:send_status("204 No Content") end
local function stream(request)
	streams[request.path](request)
	while true do
		if request.path ~= "nothing" then request:send_data("data: x\n\n") end
		if request.path ~= "slow" then request:flush() end
	end
end

local handler = http.generate_handler({ response_timeout = limit and false or 3600, stream_body = true }, function(request)
	if after[request.path] then return finish(request) end
	if streams[request.path] then return stream(request) end
	request:send_status("200 OK")
	request:send_data("hello")
end)

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	{ proto = "tcp4", port = 0, localhost = true, connect = function(socket) return handler(socket) end },
	{ proto = "tcp4", port = 0, localhost = true, connect = http.generate_handler({ response_timeout = 2 }, function(request)
		if request.path == "events" then io.stderr:write(select(2, pcall(stream, request)), "\n") return end
		request:send_status("200 OK")
		request:send_data("hello")
	end) },
	connect = handler,
	min_fork = 2, max_fork = 2, memory_limit = 16 * 1024 * 1024, fork_error_delay = 0.01,
	request_timeout = tonumber(limit),
}
