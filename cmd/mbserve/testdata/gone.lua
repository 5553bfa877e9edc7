-- Clients that go. The path says what a handler does; it notes its call. The first argument is a FIFO, the second one the
-- name of a file with a line for each call, the third one gone_after.
local http = require "moonbridge_http"
local fifo, calls, patience = ...

local paths = {}

function paths.hello() end

function paths.wait() -- until the FIFO is opened
	io.stderr:write("waiting\n")
	io.open(fifo):close()
end

function paths.deaf() -- says so when Lua is not running any more: no error can end it
	os.execute("echo deaf >&2; exec cat " .. fifo)
end

function paths.short() os.execute("sleep 0.005") end
function paths.slow() os.execute("sleep 0.3") end

function paths.silent() -- without an end, and without writing
	io.stderr:write("silent\n")
	while true do os.execute("sleep 0.01") end
end

function paths.head(request) -- complete for HEAD, and then without an end
	request:send_status("200 OK")
	request:finish_headers()
	request:flush()
	paths.silent()
end

function paths.events(request) -- without an end
	request:send_status("200 OK")
	while true do
		request:send_data("data: x\n\n")
		request:flush()
		os.execute("sleep 0.01")
	end
end

function paths.asks(request)
	io.stderr:write("asks ", tostring(request:client_gone()), " ", tostring(request.socket:alive()), "\n")
	repeat until request:client_gone()
	io.stderr:write("is told ", tostring(request:client_gone()), " ", tostring(request.socket:alive()), "\n")
end

function paths.finished(request)
	request:send_status("200 OK")
	request:send_data("finished")
	request:finish()
	paths.wait()
	io.stderr:write("has worked\n")
	return true
end

local function handle(request)
	local f = io.open(calls, "a")
	f:write(request.path, "\n")
	f:close()
	if paths[request.path](request) then return end
	request:send_status("200 OK")
	request:send_data(request.path)
end

local function seconds(s) return s ~= "false" and tonumber(s) end

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	{ proto = "tcp4", port = 0, localhost = true, connect = function(socket)
		for line in socket:lines() do
			if line == "wait" then paths.wait() end
			socket:write(line, "\n"):flush()
		end
	end },
	min_fork = 1, max_fork = 1, gone_after = patience and seconds(patience),
	connect = http.generate_handler(handle),
}

for _, patience in ipairs{ 60, 0.3 } do
	listen{
		{ proto = "tcp4", port = 0, localhost = true },
		min_fork = 2, max_fork = 2, gone_after = false,
		connect = http.generate_handler(handle, { on_client_gone = "error", client_gone_timeout = patience }),
	}
end
