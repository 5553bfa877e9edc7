-- A response that takes longer than allowed.
local http = require "moonbridge_http"

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	connect = http.generate_handler({ response_timeout = 1 }, function(request)
		request:send_status("200 OK")
		request:send_data("begun")
		request:flush()
		if request.path == "slow" then os.execute("sleep 4") end
	end),
}
