-- Each path fails in a different way.
local http = require "moonbridge_http"
-- A shell, whose parent is the worker, sends the signal: there is no way to raise one that
-- exists in both LuaJIT and Lua 5.4.
local cases = {}

local function deep()
	error("it is broken")
end

function cases.error() deep() end
function cases.object() error(setmetatable({}, { __tostring = function() return "an object that explains itself" end })) end
function cases.nothing() end
function cases.exit() os.exit(0) end
function cases.segfault() os.execute("kill -SEGV $PPID") end
function cases.late(request)
	request:send_status("200 OK")
	request:send_data(("x"):rep(1000000)) -- more than a window holds
	error("too late")
end
function cases.held(request)
	request:send_status("200 OK")
	request:send_data("nothing of this is sent")
	error("early enough")
end
function cases.last(request)
	request:send_status("200 OK")
	request:send_data("the last one")
	return false
end
function cases.pid(request)
	request:send_status("200 OK")
	request:send_data(io.open("/proc/self/stat"):read("*n"))
end

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	min_fork = 1, max_fork = 2,
	connect = http.generate_handler(function(request) return cases[request.path](request) end),
}
