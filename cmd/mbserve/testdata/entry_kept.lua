-- Keeps request and socket objects after their end.
local http = require "moonbridge_http"
local request_before, socket_before, raw_before

-- The message of an error, without the place.
local function try(f, ...) return (select(2, pcall(f, ...)):gsub("^.-:%d+: ", "")) end
local function index(object, name) return object[name] end

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	{ proto = "tcp4", port = 0, localhost = true, connect = function(socket)
		socket:write(raw_before and try(index, raw_before, "input") or "first", "\n")
		raw_before = socket
	end },
	min_fork = 1, max_fork = 1,
	gone_after = false, -- clients that close their sending side at once are answered on a busy machine too
	connect = http.generate_handler(function(request)
		request.mine = "own field"
		request:send_status("200 OK")
		request:send_data(request.mine, "\n", tostring(request.nothing), "\n")
		if request_before then
			request:send_data(try(index, request_before, "method"), "\n", try(request.send_data, request_before, "x"), "\n",
				try(index, socket_before, "remote_ip4"), "\n")
		end
		request_before, socket_before = request, request.socket
	end),
}
