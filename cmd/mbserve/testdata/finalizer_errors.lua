-- Finalizers that fail, where no code of the application runs. LuaJIT passes their errors on.
local http = require "moonbridge_http"
collectgarbage("stop")

local function failing(text)
	local function f() error(text) end
	if newproxy then
		getmetatable(newproxy(true)).__gc = f
	else
		setmetatable({}, { __gc = f })
	end
end

failing("failed after the script")
failing("failed after the script")

listen{ { proto = "tcp4", port = 0, localhost = true }, max_fork = 1,
	prepare = function()
		collectgarbage("setpause", 1)
		collectgarbage("setstepmul", 10000000)
		collectgarbage("stop")
		failing("failed after prepare")
		collectgarbage("restart") -- what allocates next collects it
	end,
	connect = http.generate_handler(function(request)
		request:send_status("200 OK")
		request:send_data("served")
	end) }
