-- Counts the bytes of a large body as they arrive, in pieces of at most 64 KiB.
-- mbserve upload.lua PORT http.stream_body=true http.maximum_input_chunk_size=65536 [name=value ...]

local serve = require "serve"

serve(function(request)
	local size = 0
	request:stream_request_body(function(piece) size = size + #piece end)
	request:send_status("200 OK")
	request:send_header("Content-Type", "text/plain")
	request:send_data(size, "\n")
	request:finish()
end, ...)
