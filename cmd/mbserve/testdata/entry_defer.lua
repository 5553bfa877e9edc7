-- Answers before the form has arrived, if ?dot or ?colon calls defer_reading in one of its spellings.
local http = require "moonbridge_http"

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	connect = http.generate_handler({ stream_body = true }, function(request)
		if request.query == "?dot" then request.defer_reading() end
		if request.query == "?colon" then request:defer_reading() end
		io.stderr:write("status\n")
		request:send_status("200 OK")
		io.stderr:write("sent\n")
		request:send_data("early\n")
		request:flush()
		request:send_data(request.post_params.a, "\n")
	end),
}
