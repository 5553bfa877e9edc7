-- Does what the field X-Do says, in Lua, with the request and the directory of the test. An error becomes the response. The
-- second listener serves HTTP on raw connections.
local http = require "moonbridge_http"
local dir = ...
local compile = loadstring or load

local handler = http.generate_handler(function(request)
	local f = assert(compile("local request, dir = ... " .. (request.headers_value["x-do"] or "error 'nothing to do'")))
	local ok, message = pcall(f, request, dir)
	if not ok then
		request:send_status("500 Error")
		request:send_data(tostring(message))
	end
end)

listen{
	{ proto = "tcp4", port = 0, localhost = true, connect = handler },
	{ proto = "tcp4", port = 0, localhost = true, connect = function(socket) return handler(socket) end },
	min_fork = 2, max_fork = 2, fork_error_delay = 0.01,
}
