-- Shows which state a worker has from the script, and which it has itself: pid, secret, count. A request takes some
-- milliseconds, so that several workers are needed.
local http = require "moonbridge_http"
local ffi = require "ffi"
ffi.cdef "int getpid(void); int poll(void *, unsigned long, int);"

local random = io.open("/dev/urandom", "rb")
secret = random:read(16):gsub(".", function(c) return ("%02x"):format(c:byte()) end)
random:close()
local count = 0

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	pre_fork = 4, min_fork = 4, max_fork = 8, exit_delay = 0.1,
	connect = http.generate_handler(function(request)
		count = count + 1
		ffi.C.poll(nil, 0, 3)
		request:send_status("200 OK")
		request:send_data(ffi.C.getpid(), " ", secret, " ", count)
	end),
}
