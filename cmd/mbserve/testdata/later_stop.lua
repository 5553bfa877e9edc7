-- Handlers of all kinds that wait until the server stops: see later_test.go.
local http = require "moonbridge_http"

local function wait(what)
	io.stderr:write(what, " waits\n")
	local ready, _, stop = moonbridge_io.poll(nil, nil, nil, true)
	return tostring(ready) .. " " .. tostring(stop)
end

local answer = http.generate_handler(function(request)
	local result = wait(request.path)
	request:send_status("200 OK")
	request:send_data(result)
end)

listen{
	{ proto = "tcp4", port = 0, localhost = true, connect = answer },
	{ proto = "tcp4", port = 0, localhost = true, connect = function(socket) return answer(socket) end },
	{ proto = "tcp4", port = 0, localhost = true, connect = function(socket) socket:write(wait("raw")) end },
	{ proto = "interval", name = "tick", delay = 0.01, connect = function(timer)
		io.stderr:write("tick got ", wait(timer.interval), "\n")
	end },
}
