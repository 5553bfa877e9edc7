local http = require "moonbridge_http"

local handler = http.generate_handler(function(request)
	if request.path == "error" then error("this is not a fault of the test") end
	if request.path == "silent" then return end
	request:send_status("200 OK")
end, { static_headers = { "X-Frame-Options: DENY", ["X-Two"] = "2" }, request_body_size_limit = 100 })

listen{ { proto = "tcp4", port = 0, localhost = true }, connect = handler }
listen{ { proto = "tcp4", port = 0, localhost = true }, connect = function(socket) return handler(socket) end }
