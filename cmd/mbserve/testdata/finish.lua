-- Each worker writes a line to the file given as argument when it starts, and one when it ends.
local http = require "moonbridge_http"
local file = ...

local function note(what)
	local f = assert(io.open(file, "a"))
	f:write(what, " ", io.open("/proc/self/stat"):read("*n"), "\n")
	f:close()
end

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	pre_fork = 3, min_fork = 3, max_fork = 3,
	prepare = function() note("prepare") end,
	connect = http.generate_handler(function(request)
		request:send_status("200 OK")
		return request.path ~= "last"
	end),
	finish = function() note("finish") end,
}
