-- What is called after finish, as the path says, is an error that the log shows. The response is complete.
local http = require "moonbridge_http"

listen{
	{ proto = "tcp4", port = 8080 },
	connect = http.generate_handler(function(request)
		request:send_status("200 OK")
		request:send_data("done")
		request:finish()
		request[request.path](request, "200 OK", "x")
	end)
}
