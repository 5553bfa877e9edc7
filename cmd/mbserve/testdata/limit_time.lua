-- Handlers that take too long, in various ways. Arguments: request_timeout, a FIFO without a writer, max_fork.
local http = require "moonbridge_http"
local limit, fifo, max_fork = ...
local cases = {}

local function compiled()
	while true do end
end

local function interpreted()
	while true do string.gsub("x", "x", function() end) end
end

function cases.compiled() compiled() end
function cases.interpreted() interpreted() end
function cases.stubborn()
	while true do pcall(interpreted) end
end
function cases.coroutine() coroutine.wrap(interpreted)() end
function cases.command() os.execute("exec cat " .. fifo) end
function cases.fifo() io.open(fifo):close() end
function cases.body(request) return #request.body end
function cases.late(request)
	request:send_status("200 OK")
	request:send_data(("x"):rep(10000))
	request:flush()
	interpreted()
end
function cases.own()
	timeout(0.1)
	interpreted()
end
function cases.pid() return io.open("/proc/self/stat"):read("*n") end

local function line(socket)
	local word = socket:read("*l")
	if cases[word] then cases[word](socket) end
	socket:write(word, "\n")
end

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	{ proto = "tcp4", port = 0, localhost = true, connect = line },
	{ proto = "interval", name = "slow", delay = 0.1, connect = function() if limit == "0.3" then interpreted() end end },
	max_fork = tonumber(max_fork) or 16,
	request_timeout = tonumber(limit),
	connect = http.generate_handler({ stream_body = true }, function(request)
		local result = cases[request.path](request)
		request:send_status("200 OK")
		request:send_data(tostring(result))
	end),
}
