-- A form of 1 KiB of which one field is used.
-- mbserve form.lua PORT [name=value ...]

local serve = require "serve"

serve(function(request)
	local name = request.post_params.name
	request:send_status("200 OK")
	request:send_header("Content-Type", "text/plain")
	request:send_data("Hello, ", name, "!\n")
	request:finish()
end, ...)
