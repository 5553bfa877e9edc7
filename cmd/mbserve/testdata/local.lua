-- A Unix socket, whose path is the argument. With a second argument the script fails after listen.
local http = require "moonbridge_http"
local path, fail = ...

listen{
	{ proto = "local", path = path },
	connect = http.generate_handler(function(request)
		request:send_status("200 OK")
		request:send_data("local")
	end),
}
if fail then error("after listen") end
