-- Listens on the addresses of the machine, on the loopback interface, and on a service name if there is an argument.
local http = require "moonbridge_http"

local function named(name)
	return http.generate_handler(function(request)
		request:send_status("200 OK")
		request:send_data(name)
	end)
end

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	{ proto = "tcp6", port = 0, localhost = true },
	{ proto = "tcp4", port = 0, localhost = false },
	{ proto = "tcp6", port = 0, connect = named "tcp6 only" },
	{ proto = "tcp", host = "localhost", port = 0 },
	{ proto = "tcp", port = 0 },
	(...) and { proto = "tcp4", port = (...), localhost = true },
	connect = named "another",
}
