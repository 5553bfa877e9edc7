-- Shows the addresses of a connection, of raw ones and of HTTP, as hexadecimal digits. The argument is a path for a Unix socket.
local http = require "moonbridge_http"

local function show(socket)
	local parts = {}
	for i, name in ipairs{ "local_ip4", "local_ip6", "local_tcpport", "remote_ip4", "remote_ip6", "remote_tcpport" } do
		local v = socket[name]
		parts[i] = type(v) == "string" and v:gsub(".", function(c) return ("%02x"):format(c:byte()) end) or tostring(v)
	end
	return table.concat(parts, " ")
end

local handler = http.generate_handler(function(request)
	request:send_status("200 OK")
	request:send_data(show(request.socket))
end)

local function connect(socket) socket:write(show(socket), "\n") end

listen{
	gone_after = false, -- clients that close their sending side at once are answered on a busy machine too
	{ proto = "tcp4", port = 0, localhost = true, connect = connect },
	{ proto = "tcp6", port = 0, localhost = true, connect = connect },
	{ proto = "tcp4", port = 0, localhost = true },
	{ proto = "tcp6", port = 0, localhost = true },
	{ proto = "local", path = (...), connect = connect },
	connect = handler,
}
