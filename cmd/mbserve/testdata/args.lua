-- Answers with the arguments of the script.
local http = require "moonbridge_http"
local rest = { n = select("#", ...), ... }

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	connect = http.generate_handler(function(request)
		request:send_status("200 OK")
		request:send_data(rest.n, ":", table.concat(rest, "|"), " ", #arg, ":", arg[0], "|", table.concat(arg, "|"))
	end),
}
