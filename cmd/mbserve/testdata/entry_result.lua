-- What a handler returns decides whether its worker continues: the path is a Lua expression, on both listeners.
local http = require "moonbridge_http"
local load = loadstring or load
local function value(text) return load("return " .. text)() end
local count = 0

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	{ proto = "tcp4", port = 0, localhost = true, connect = function(socket)
		count = count + 1
		local result = socket:readuntil("\n")
		socket:write(count, "\n")
		return value(result)
	end },
	min_fork = 1, max_fork = 1,
	finish = function() io.stderr:write("finish ", count, "\n") end,
	connect = http.generate_handler(function(request)
		count = count + 1
		request:send_status("200 OK")
		request:send_data(count)
		return value(request.path)
	end),
}
