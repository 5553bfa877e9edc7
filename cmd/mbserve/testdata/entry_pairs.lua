-- Lists with pairs what is in the table that the path names.
local http = require "moonbridge_http"

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	connect = http.generate_handler(function(request)
		local names = {}
		for name in pairs(request[request.path] or {}) do names[#names + 1] = name end
		table.sort(names)
		request:send_status("200 OK")
		request:send_data(table.concat(names, " "))
	end),
}
