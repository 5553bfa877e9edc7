-- Features of Lua 5.4 in a handler. This needs an mbserve built with Lua 5.4 (make build LUA=lua54):
--
--     mbserve examples/lua54.lua [port]
--     curl http://127.0.0.1:8080/9007199254740993
--
-- Scripts that use none of these features also run with LuaJIT.
local http <const> = require "moonbridge_http"
local port <const> = tonumber(arg[1] or 8080) or error("the port must be a number, not " .. arg[1])

-- A read-only table that can still be listed: pairs() uses __pairs.
local function constants(t)
	return setmetatable({}, {
		__index = t,
		__newindex = function(_, key) error("constant table: " .. tostring(key), 2) end,
		__pairs = function() return next, t end,
	})
end

local headers <const> = constants{ ["Content-Type"] = "text/plain", ["Cache-Control"] = "no-store" }

-- A variable declared like this is closed at the end of its block, whether by return or by an error.
local function watch(name)
	local begun = os.clock()
	return setmetatable({}, {
		__close = function() io.stderr:write(("%s: %.3f ms\n"):format(name, (os.clock() - begun) * 1000)) end,
	})
end

-- Integers have 64 bits, integer division, and bitwise operators.
local function describe(n)
	local ones, rest = 0, n
	while rest ~= 0 do
		ones = ones + (rest & 1)
		rest = rest >> 1
	end
	return ("%d is 0x%x, half of it is %d, and %d of its 64 bits are set.\n"):format(n, n, n // 2, ones)
end

listen{
	{ proto = "tcp4", port = port, localhost = true },
	connect = http.generate_handler(function(request)
		local watch <close> = watch(request.path)
		local n = math.tointeger(tonumber(request.path))
		request:send_status(n and 200 or 404)
		for key, value in pairs(headers) do request:send_header(key, value) end
		request:send_data(n and describe(n) or "Ask for /42 or another whole number.\n")
	end),
}
