-- A page of about 4 KB whose handler waits for 20 ms, like one with a slow database. The server keeps it for a second and
-- sends the old page while it gets a new one. mbserve cached.lua PORT http.cache=true [name=value ...]

local serve = require "serve"
local build = require "rows"
local ffi = require "ffi"

ffi.cdef "int usleep(unsigned int useconds);"

serve(function(request)
	ffi.C.usleep(20000)
	request:send_status("200 OK")
	request:send_header("Content-Type", "text/plain")
	request:send_header("Cache-Control", "s-maxage=1, stale-while-revalidate=10")
	request:send_data(build())
	request:finish()
end, ...)
