-- A handler that waits for 20 ms, like one with a slow database. mbserve waiting.lua PORT [name=value ...]

local serve = require "serve"
local ffi = require "ffi"

ffi.cdef "int usleep(unsigned int useconds);"

serve(function(request)
	ffi.C.usleep(20000)
	request:send_status("200 OK")
	request:send_header("Content-Type", "text/plain")
	request:send_data("Hello, world!\n")
	request:finish()
end, ...)
