-- Two timers, strict and not, whose handlers take more than half of the delay. The argument is a file to which every start
-- and end is written, with the time in ms.
local http = require "moonbridge_http"
local ffi = require "ffi"
ffi.cdef [[
	int poll(void *, unsigned long, int);
	struct timespec { long sec, nsec; };
	int clock_gettime(int, struct timespec *);
]]
local file = ...

local function note(name, what)
	local t = ffi.new "struct timespec"
	ffi.C.clock_gettime(1, t)
	local f = assert(io.open(file, "a"))
	f:write(("%s %s %.1f\n"):format(name, what, tonumber(t.sec) * 1000 + tonumber(t.nsec) / 1e6))
	f:close()
end

local function tick(timer)
	note(timer.interval, "begin")
	ffi.C.poll(nil, 0, 60)
	note(timer.interval, "end")
end

note("start", "begin")
listen{
	{ proto = "tcp4", port = 0, localhost = true },
	{ proto = "interval", name = "loose", delay = 0.1, connect = tick },
	{ proto = "interval", name = "strict", delay = 0.1, strict = true, connect = tick },
	{ proto = "interval", delay = 0.01, connect = function(timer)
		if timer.interval ~= "" then error("it has a name") end
		error("this one always fails")
	end },
	pre_fork = 4,
	connect = http.generate_handler(function(request) request:send_status("200 OK") end),
}
