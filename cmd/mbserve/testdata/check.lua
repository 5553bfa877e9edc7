-- Two pools with listeners of all kinds. The socket file is the argument.
local http = require "moonbridge_http"
local handler = http.generate_handler(print)
print("a line on standard output")

listen{
	{ proto = "tcp4", port = 80 },
	{ proto = "tcp6", port = 80, localhost = true },
	{ proto = "tcp", host = "192.0.2.1", port = 80 },
	{ proto = "local", path = (...) },
	pre_fork = 3, min_fork = 4, max_fork = 5,
	connect = handler,
}
listen{
	{ proto = "interval", delay = 1, name = "clean", connect = print },
	{ proto = "tcp4", port = 7, connect = print },
	max_fork = 1,
}
