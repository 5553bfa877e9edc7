-- When a worker is replaced. The argument is min_requests_per_fork, or what should fail: "error" or "timer".
local http = require "moonbridge_http"
local what = ...
local served, cases = 0, {}

function cases.error() error("it is broken") end
function cases.caught() pcall(error, "it is broken") end
function cases.count() end
function cases.body(request) return #request.body end
cases["false"] = function() return false end

local function connect(request)
	served = served + 1
	local result = cases[request.path](request)
	request:send_status("200 OK")
	request:send_data(io.open("/proc/self/stat"):read("*n"), " ", served)
	return result
end

local handler = http.generate_handler(connect)

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	{ proto = "tcp4", port = 0, localhost = true, connect = function(socket) return handler(socket) end },
	{ proto = "interval", name = "broken", delay = what == "timer" and 0.5 or 3600, connect = function() if what == "timer" then error("it is broken") end end },
	min_fork = 1, max_fork = 1,
	min_requests_per_fork = tonumber(what), recycle_on_error = what == "error" or what == "timer",
	connect = handler,
	finish = function() io.stderr:write("finish\n") end,
}
