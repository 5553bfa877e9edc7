-- Each worker notes in a file when it is ready, and answers with the time at which the script was loaded.
-- mbserve workers.lua PORT FILE WORKERS

local http = require "moonbridge_http"
local ffi = require "ffi"

local port, path, workers = ...

ffi.cdef [[
struct benchmark_time { long seconds, nanoseconds; };
int clock_gettime(int clock, struct benchmark_time *now);
int getpid(void);
]]

-- now returns the time of the monotonic clock in microseconds, the finest that fits into a number of Lua.
local function now()
	local t = ffi.new "struct benchmark_time"
	assert(ffi.C.clock_gettime(1, t) == 0)
	return ("%.0f"):format(tonumber(t.seconds) * 1e6 + math.floor(tonumber(t.nanoseconds) / 1e3))
end

local loaded = now()

listen{
	{proto = "tcp4", port = tonumber(port), localhost = true},
	min_fork = tonumber(workers), max_fork = tonumber(workers),
	prepare = function()
		local file = assert(io.open(path, "a"))
		file:write(ffi.C.getpid(), " ", now(), "\n") -- one write, since it is short
		file:close()
	end,
	connect = http.generate_handler(function(request)
		request:send_status("200 OK")
		request:send_header("Content-Type", "text/plain")
		request:send_data(loaded, "\n")
		request:finish()
	end),
}
