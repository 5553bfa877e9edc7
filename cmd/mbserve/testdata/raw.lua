-- Raw connections: a line echo server in a pool with an HTTP listener and a timer. Lines are commands: see raw_test.go.
local http = require "moonbridge_http"
local path, ticks, max_fork, request_timeout = ...
max_fork = tonumber(max_fork) or 8

local function pid() return io.open("/proc/self/stat"):read("*n") end

local commands = {
	pid = function(socket) socket:write(pid(), "\n") end,
	address = function(socket) socket:write(socket.remote_tcpport, " ", socket.local_tcpport, "\n") end,
	fail = function() error("a mistake of the handler") end,
	exit = function() os.exit(0) end,
	cancel = function(socket) socket:cancel() return "over" end,
}

local function serve(socket)
	-- (socket:lines() raises an error if the connection is reset.)
	for line in function() return (socket:read("*l")) end do
		local command = commands[line]
		if not command then
			socket:write(line, "\n")
		elseif command(socket) then
			return
		end
		socket:flush()
	end
end

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	{ proto = "local", path = path },
	{ proto = "tcp4", port = 0, localhost = true, connect = http.generate_handler(function(request)
		if request.path == "cancel" then
			request:send_status("200 OK")
			request:send_data("the peer gets nothing of this")
			request.socket:cancel()
			return
		end
		request:send_status("200 OK")
		request:send_data("pid ", pid())
	end) },
	{ proto = "interval", name = "tick", delay = 0.02, connect = function(socket)
		local f = assert(io.open(ticks, "a"))
		f:write(socket.interval, "\n")
		f:close()
	end },
	connect = serve,
	min_fork = math.min(2, max_fork), max_fork = max_fork, fork_delay = 0, fork_error_delay = 3600,
	request_timeout = tonumber(request_timeout) or false,
}
