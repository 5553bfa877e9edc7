-- Requests that fail. Argument: a file that the timer makes.
local http = require "moonbridge_http"
local ticked = ...
local found, ffi = pcall(require, "ffi")
local cases = {}

function cases.error(request)
	io.stderr:write("about to fail\n")
	error("no " .. request.post_params.what)
end

-- crashes as a module in C does
function cases.crash()
	if found then ffi.cast("int *", 0)[0] = 1 end
	os.execute("kill -SEGV $PPID")
	while true do end
end

function cases.loop()
	while true do local x = tostring{} end
end

function cases.limit()
	timeout(0.05)
	while true do end
end

local handler = http.generate_handler(function(request) cases[request.path](request) end)

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	{ proto = "interval", delay = 0.01, connect = function() io.open(ticked, "w"):close() end },
	max_fork = 2, connect = handler,
}

-- On a busy machine a tick may take longer.
listen{ { proto = "tcp4", port = 0, localhost = true }, max_fork = 2, request_timeout = 0.3, connect = handler }
