-- Calls listen too late, from every kind of handler.
local http = require "moonbridge_http"

local function late(where)
	local ok, message = pcall(listen, { { proto = "tcp4", port = 0, localhost = true }, connect = print })
	io.stderr:write(where, ": ", tostring(ok), " ", message, "\n")
end

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	{ proto = "interval", delay = 0.05, connect = function() late("tick") end },
	prepare = function() late("prepare") end,
	finish = function() late("finish") end,
	connect = http.generate_handler(function(request)
		late("request")
		request:send_status("200 OK")
		return false
	end),
}
