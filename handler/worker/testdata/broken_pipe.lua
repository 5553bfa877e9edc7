-- Writes to a program that does not read.
local http = require "moonbridge_http"

listen{
	{ proto = "tcp4", port = 8080 },
	connect = http.generate_handler(function(request)
		local f = assert(io.popen("exec <&-; exec sleep 0", "w"))
		local ok, message
		repeat ok, message = f:write(("x"):rep(100000)) until not ok
		f:close()
		request:send_status("200 OK")
		request:send_data(tostring(ok), " ", message)
	end)
}
