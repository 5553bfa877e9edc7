-- A page of about 4 KB that is built for each request.
-- mbserve page.lua PORT [name=value ...]

local serve = require "serve"
local build = require "rows"

serve(function(request)
	request:send_status("200 OK")
	request:send_header("Content-Type", "text/plain")
	request:send_data(build())
	request:finish()
end, ...)
