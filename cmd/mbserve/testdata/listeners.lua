-- Every kind of listener, each with its own handler that says which it is, and a second pool. The socket file is the
-- argument.
local http = require "moonbridge_http"

local function named(name)
	return http.generate_handler(function(request)
		request:send_status("200 OK")
		request:send_data(name, " ", io.open("/proc/self/stat"):read("*n"))
	end)
end

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	{ proto = "tcp6", port = 0, localhost = true, connect = named "tcp6" },
	{ proto = "tcp", host = "::1", port = 0, connect = named "tcp" },
	{ proto = "tcp", host = "127.0.0.1", port = 0, connect = named "tcp on IPv4" },
	{ proto = "local", path = (...), mode = "0640", connect = named "local" },
	connect = named "tcp4",
}
listen{
	{ proto = "tcp4", port = 0, localhost = true },
	{ proto = "tcp", port = 0 },
	connect = named "second pool",
}
