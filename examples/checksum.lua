-- Computes the checksum of an upload, holding only one piece of it at a time. Compare with the system's own:
--
--     mbserve examples/checksum.lua
--     curl -T some.file http://127.0.0.1:8080/
--     sum -r some.file
--
-- request:stream_request_body(callback) calls back with one piece of the body at a time. While the handler processes a
-- piece, the client can send only a bounded amount ahead.
local http = require "moonbridge_http"
local bit = require "bit"

listen{
	{ proto = "tcp4", port = 8080, localhost = true },
	connect = http.generate_handler(function(request)
		local bytes, sum = 0, 0
		request:stream_request_body(function(piece)
			bytes = bytes + #piece
			for i = 1, #piece do -- the BSD checksum: rotate by one bit, add a byte
				sum = bit.band(bit.rshift(sum, 1) + bit.lshift(bit.band(sum, 1), 15) + piece:byte(i), 0xffff)
			end
		end)
		request:send_status("200 OK")
		request:send_header("Content-Type", "text/plain")
		request:send_data(("%05d, %d bytes\n"):format(sum, bytes))
		request:finish()
	end, { request_body_size_limit = 8 * 1024 * 1024 * 1024 }),
}
