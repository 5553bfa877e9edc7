-- Too much memory before the first request. The argument says which one uses it: prepare, or the script.
local http = require "moonbridge_http"
local who = ...

local function hog(n)
	local t = {}
	for i = 1, n do t[i] = { i } end
	return t
end

if who == "script" then kept = hog(1e5) end

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	memory_limit = 1e6, fork_error_delay = 0.2, queue_timeout = 0.3,
	prepare = function() hog(1e9) end,
	connect = http.generate_handler(function(request) request:send_status("200 OK") end),
}
