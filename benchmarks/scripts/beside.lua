-- Requests to /blocking block their worker for 2 ms; all others get the short answer of hello.lua at once.
-- mbserve beside.lua PORT [name=value ...]

local serve = require "serve"
local ffi = require "ffi"

ffi.cdef "int usleep(unsigned int useconds);"

serve(function(request)
	if request.path == "blocking" then ffi.C.usleep(2000) end
	request:send_status("200 OK")
	request:send_header("Content-Type", "text/plain")
	request:send_data("Hello, world!\n")
	request:finish()
end, ...)
