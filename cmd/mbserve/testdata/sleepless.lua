-- No request is ever answered.
local http = require "moonbridge_http"

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	connect = http.generate_handler(function() while true do local x = tostring{} end end),
}
