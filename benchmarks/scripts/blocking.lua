-- A handler that blocks its worker for 2 ms, like one that waits for a database. mbserve blocking.lua PORT [name=value
-- ...]

local serve = require "serve"
local ffi = require "ffi"

ffi.cdef "int usleep(unsigned int useconds);"

serve(function(request)
	ffi.C.usleep(2000)
	request:send_status("200 OK")
	request:send_header("Content-Type", "text/plain")
	request:send_data("Hello, world!\n")
	request:finish()
end, ...)
