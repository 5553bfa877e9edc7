-- Handlers that use more memory than the first argument allows, and some that only seem to. If the file
-- named by the second argument exists, the timer uses more too.
local http = require "moonbridge_http"
local limit, file = ...
local cases, kept = {}, {}

local function pid() return io.open("/proc/self/stat"):read("*n") end

local function hog()
	local t = {}
	for i = 1, 1e9 do t[i] = { i } end
end

function cases.hog() hog() end
function cases.caught() return select(2, pcall(hog)) end
function cases.again() for _ = 1, 5 do pcall(hog) end return "five times" end
function cases.coroutine() coroutine.wrap(hog)() end
function cases.resumed() return select(2, coroutine.resume(coroutine.create(hog))) end
function cases.rep() return (("x"):rep(2e9)) end
-- More than a string can have: LuaJIT says that there is not enough memory, without asking for it. Lua 5.4 says something else, so there it is the same as rep.
function cases.long() return ((jit and "xx" or "x"):rep(2e9)) end
function cases.long_in_time() return timeout(60, cases.long) end
function cases.concat()
	local s = "x"
	while true do s = s .. s end
end
function cases.strings()
	local t = {}
	for i = 1, 1e9 do t[i] = "string " .. i end
end
function cases.late(request)
	request:send_status("200 OK")
	request:send_data(("x"):rep(100000))
	request:flush() -- it would wait for a moment, and hog may be faster
	hog()
end

-- Garbage next to data that is kept, some of it in large pieces.
function cases.garbage()
	for i = 1, 100 do kept[i] = kept[i] or ("x"):rep(tonumber(limit) / 200 + i) end
	local sum = 0
	for i = 1, 1e6 do
		local t = { i, tostring(i) }
		sum = sum + #t
	end
	for i = 1, 100 do sum = sum + #("x"):rep(tonumber(limit) / 20 + i) end
	return sum
end

-- Never fails, but its memory fills up.
function cases.leak()
	for _ = 1, 1000 do kept[#kept + 1] = { #kept } end
	return pid()
end

function cases.pid() return pid() end

local function line(socket)
	local word = socket:read("*l")
	socket:write(cases[word] and tostring(cases[word](socket)) or word, "\n")
end

local handler = http.generate_handler(function(request)
	local result = cases[request.path](request)
	request:send_status("200 OK")
	request:send_data(tostring(result))
end)

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	{ proto = "tcp4", port = 0, localhost = true, connect = line },
	{ proto = "tcp4", port = 0, localhost = true, connect = function(socket) return handler(socket) end },
	{ proto = "interval", name = "hungry", delay = 0.1, connect = function()
		local f = io.open(file) -- only once, when the test says so
		if f then
			f:close()
			os.remove(file)
			hog()
		end
	end },
	memory_limit = tonumber(limit),
	queue_timeout = 120, -- a busy machine may let workers wait for long
	connect = handler,
	finish = function() io.stderr:write("finish\n") end,
}
