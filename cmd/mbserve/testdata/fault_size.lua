-- A pool that requests too much, or more than the system provides.
local http = require "moonbridge_http"
listen{
	{ proto = "tcp4", port = 0, localhost = true },
	queue_limit = tonumber((...)),
	connect = http.generate_handler(function(request) request:send_status("200 OK") end),
}
