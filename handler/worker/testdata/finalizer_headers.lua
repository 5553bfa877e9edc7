-- While generate_handler makes a handler, a finalizer makes another one.
local http = require "moonbridge_http"
local finalized = 0

local function finalizer()
	finalized = finalized + 1
	http.generate_handler(print, { static_headers = "X-Inner: inner", compress = { types = { "text/inner" } } })
end

local function garbage()
	if newproxy then -- Lua 5.1 has finalizers of userdata only
		getmetatable(newproxy(true)).__gc = finalizer
	else
		setmetatable({}, { __gc = finalizer })
	end
end

local function callback(request)
	request:send_status("200 OK")
end

local options, outer = { static_headers = "X-Outer: outer", compress = { types = { "text/outer" } } }
collectgarbage("setstepmul", 10000000)
for tries = 1, 100000 do
	collectgarbage("stop")
	garbage()
	local before = finalized
	collectgarbage("restart") -- what allocates next collects it
	outer = http.generate_handler(callback, options)
	if finalized > before then break end
	assert(tries < 100000, "no finalizer has run in generate_handler")
end

listen{ { proto = "tcp4", port = 8080 }, connect = outer }
