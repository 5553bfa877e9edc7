-- /N/SIZE: sends N pieces of SIZE bytes. With a query "length" Content-Length is sent first, with "wait" the handler
-- waits before it finishes, for a line from the file named as the script's argument.
local http = require "moonbridge_http"
local fifo = ...

listen{
	{ proto = "tcp4", port = 8080 },
	connect = http.generate_handler(function(request)
		local n, size = request.path:match("^(%d+)/(%d+)$")
		n, size = tonumber(n), tonumber(size)
		request:send_status("200 OK")
		if request.get_params.length then
			request:send_header("Content-Length", n * size)
		end
		for i = 1, n do
			request:send_data(string.char(96 + i % 26):rep(size))
			if request.get_params.flush then request:flush() end
		end
		if request.get_params.wait == "headers" then request:finish_headers() end
		if request.get_params.wait then
			local f = assert(io.open(fifo))
			f:read("*l")
			f:close()
		end
	end)
}
