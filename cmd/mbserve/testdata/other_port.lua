-- The port given as argument is in use: the script catches the error and uses another one.
local http = require "moonbridge_http"
local port, path = ...
local handler = http.generate_handler(function(request)
	request:send_status("200 OK")
	request:send_data("another port")
end)

local ok, message = pcall(listen, {
	{ proto = "local", path = path },
	{ proto = "tcp4", port = tonumber(port), localhost = true },
	connect = handler,
})
io.stderr:write(tostring(ok), " ", message, "\n")
assert(not io.open(path), "the first listener is still there")
listen{ { proto = "tcp4", port = 0, localhost = true }, { proto = "local", path = path }, connect = handler }
