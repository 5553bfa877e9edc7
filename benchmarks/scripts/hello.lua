-- A short constant answer: the minimum cost of a request. mbserve hello.lua PORT [name=value ...]

local serve = require "serve"

serve(function(request)
	request:send_status("200 OK")
	request:send_header("Content-Type", "text/plain")
	request:send_data("Hello, world!\n")
	request:finish()
end, ...)
