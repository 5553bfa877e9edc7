-- Shows the default sizes: the longest piece of a streamed body. GET sends pieces of 100 bytes, with pauses.
local http = require "moonbridge_http"

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	connect = http.generate_handler(function(request)
		local longest = 0
		request:stream_request_body(function(piece) longest = math.max(longest, #piece) end)
		request:send_status("200 OK")
		request:send_data(("%d"):format(longest))
	end),
}
