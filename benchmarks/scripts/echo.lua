-- Sends the body of the request back.
-- mbserve echo.lua PORT [name=value ...]

local serve = require "serve"

serve(function(request)
	local body = request.body
	request:send_status("200 OK")
	request:send_header("Content-Type", "text/plain")
	request:send_data(body)
	request:finish()
end, ...)
