-- A page of 20 KB that is built for each request and compressed by the server.
-- mbserve compressed.lua PORT http.compress=true [name=value ...]

local serve = require "serve"
local build = require "article"

serve(function(request)
	request:send_status("200 OK")
	request:send_header("Content-Type", "text/html")
	request:send_data(build())
	request:finish()
end, ...)
