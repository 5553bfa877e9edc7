-- Lists, with pairs, the contents of the table named by the path.
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
