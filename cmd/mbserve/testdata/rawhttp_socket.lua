local http = require "moonbridge_http"

local function check(ok, message)
	if not ok then io.stderr:write("failed: ", tostring(message), "\n") end
	return ok
end

local handler = http.generate_handler(function(request)
	local s = request.socket
	if request.path == "write" then
		s:write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 20000000\r\n\r\n")
		check(s:write(("x"):rep(20000000)))
	else
		s:write("say something\n")
		s:flush()
		s:write("you said ", check(s:read("*l")) or "nothing", "\n")
	end
	check(s:close(20))
end)

listen{ { proto = "tcp4", port = 0, localhost = true }, connect = function(socket) return handler(socket) end }
