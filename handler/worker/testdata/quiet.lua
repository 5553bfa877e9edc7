-- Raw connections at a stop of the server: each handler says what it finds when its input has been ended.
local http = require "moonbridge_http"
local file = ... -- a FIFO

local function bye(socket, line, why) socket:write("bye ", tostring(line), " ", tostring(why)) end

local page = http.generate_handler(function(request)
	request:send_status("200 OK")
	request:send_data(request.path)
end)

local function dialogue(socket)
	while true do
		local line, why = socket:read("*l")
		if not line then return bye(socket, line, why) end
		socket:write(line, "\n")
		socket:flush()
	end
end

listen{
	{ proto = "tcp4", port = 1, connect = dialogue },
	{ proto = "tcp4", port = 2, connect = function(socket) bye(socket, socket:read("*a")) end },
	{ proto = "tcp4", port = 3, connect = function(socket) bye(socket, socket:readuntil(";")) end },
	{ proto = "tcp4", port = 4, connect = function(socket) bye(socket, socket.input:read("*l")) end },
	{ proto = "tcp4", port = 5, connect = function(socket) return page(socket) end },
	{ proto = "tcp4", port = 6, connect = function(socket) -- waits for something else, with input that is not read yet
		io.open(file):close()
		bye(socket, socket:read("*l"))
		dialogue(socket)
	end },
	connect = dialogue,
}
