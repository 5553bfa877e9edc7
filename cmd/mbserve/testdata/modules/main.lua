-- Modules next to the script are found wherever the server was started, at the top level and in a handler.
local http = require "moonbridge_http"
local sibling = require "sibling"

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	connect = http.generate_handler(function(request)
		request:send_status("200 OK")
		request:send_data(sibling.name, " ", require("package_of.two").name, " ", _MOONBRIDGE_VERSION and "version")
	end),
}
