-- Two constant answers: a short one, and /100k of 100 KiB. mbserve sizes.lua PORT [name=value ...]

local serve = require "serve"
local large = string.rep("x", 100 * 1024)

serve(function(request)
	request:send_status("200 OK")
	request:send_header("Content-Type", "text/plain")
	local body = request.path == "100k" and large or "Hello, world!\n"
	request:send_header("Content-Length", #body)
	request:send_data(body)
	request:finish()
end, ...)
