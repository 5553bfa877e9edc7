-- Faults of a worker. Arguments: the behaviour of prepare, a file.
local http = require "moonbridge_http"
local mode, file = ...
local found, ffi = pcall(require, "ffi")
if found then ffi.cdef "int poll(void *, unsigned long, int);" end

local function exists(name)
	local f = name and io.open(name)
	return f and f:close()
end

local prepare = {}
function prepare.exit() os.exit(7) end
function prepare.endless() while exists(file) do end end
function prepare.once() -- dies while the file is missing
	if not exists(file) then os.exit(0) end
end

local function say(request, ...)
	request:send_status("200 OK")
	request:send_data(...)
end

local cases = {}
function cases.ffi(request) say(request, tostring(found)) end
function cases.null() ffi.cast("int *", 0)[0] = 1 end
function cases.hang() ffi.C.poll(nil, 0, 3600000) end
function cases.pid(request) say(request, (io.open("/proc/self/stat"):read("*n"))) end
function cases.busy(request)
	local to = os.clock() + 0.05
	while os.clock() < to do end
	cases.pid(request)
end
function cases.fail() error("a message of some length, which says what is wrong: " .. ("x"):rep(100)) end
function cases.log(request)
	io.stderr:write("something to log\n")
	say(request, "logged")
end
function cases.big(request)
	request:send_status("200 OK")
	for _ = 1, 1e4 do request:send_data(("x"):rep(10000)) end
end
cases[""] = function(request) say(request, "well") end

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	{ proto = "interval", delay = 0.1, name = "tick", connect = function()
		if exists(file) and mode == "tick" then
			io.stderr:write("tick of ", (io.open("/proc/self/stat"):read("*n")), "\n")
			while exists(file) do end
		end
	end },
	min_fork = 2, max_fork = 4, fork_delay = 0.01, fork_error_delay = 0.2, queue_timeout = 3, exit_delay = 0.1,
	request_timeout = mode == "timeout" and 0.5 or nil,
	prepare = prepare[mode],
	connect = http.generate_handler(function(request) return cases[request.path](request) end, {
		stall_timeout = mode == "stall" and 0.5 or nil,
	}),
}
