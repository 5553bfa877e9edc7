-- generate_handler with its arguments in each order; the options show in a header field.
local http = require "moonbridge_http"

local function callback(request)
	request:send_status("200 OK")
	local pieces = 0
	request:stream_request_body(function() pieces = pieces + 1 end)
	request:send_data(pieces)
end

local listener = { proto = "tcp4", port = 0, localhost = true }
listen{ listener, connect = http.generate_handler(callback) }
listen{ listener, connect = http.generate_handler(callback, { static_headers = "X-Order: 2" }) }
listen{ listener, connect = http.generate_handler({ static_headers = "X-Order: 3" }, callback) }
listen{ listener, connect = http.generate_handler(nil, callback) }
listen{ listener, connect = http.generate_handler({ chunk_size = 10 }, callback) }
listen{ listener, connect = http.generate_handler({ chunk_size = 10, maximum_input_chunk_size = 5 }, callback) }
listen{ listener, connect = http.generate_handler({ maximum_input_chunk_size = 20, chunk_size = 10 }, callback) }
