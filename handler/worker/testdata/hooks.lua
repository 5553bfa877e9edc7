-- prepare and finish, and a finalizer, tell when they run.
local http = require "moonbridge_http"
local prepared = 0
local function finalizer() io.stderr:write("finalizer\n") end
if newproxy then -- Lua 5.1 has finalizers of userdata only
	counter = newproxy(true)
	getmetatable(counter).__gc = finalizer
else
	counter = setmetatable({}, { __gc = finalizer })
end

listen{
	{ proto = "tcp4", port = 8080 },
	prepare = function() prepared = prepared + 1 end,
	connect = http.generate_handler(function(request)
		request:send_status("200 OK")
		request:send_data(prepared)
	end),
	finish = function()
		io.stderr:write("finish\n")
		error("finish failed")
	end
}
