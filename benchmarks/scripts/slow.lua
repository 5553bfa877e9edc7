-- Slow clients ask for a page of 2 MiB, or upload something. Other clients get a short answer.
-- mbserve slow.lua PORT [name=value ...]

local serve = require "serve"

local line = ("x"):rep(1023) .. "\n"

serve(function(request)
	request:send_status("200 OK")
	request:send_header("Content-Type", "text/plain")
	if request.path == "large" then
		for i = 1, 2048 do request:send_data(line) end
	elseif request.method == "POST" then
		request:send_data(#request.body)
	else
		request:send_data("Hello, world!\n")
	end
	request:finish()
end, ...)
