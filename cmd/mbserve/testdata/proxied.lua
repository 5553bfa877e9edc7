-- The same handler four times: served by the server and on raw connections, on TCP and on a Unix socket. All listeners expect
-- the PROXY protocol if the first argument is "true". It answers with the addresses of the connection, and with what is known of
-- the client if there are trusted proxies: all further arguments.
local http = require "moonbridge_http"
local proxied, path = (...) == "true", (select(2, ...))
local trusted = select("#", ...) > 2 and { select(3, ...) } or nil

local function text(ip)
	if not ip then return "-" end
	local parts = { ip:byte(1, -1) }
	return #parts == 4 and table.concat(parts, ".") or ("%02x"):rep(#parts):format(table.unpack(parts))
end

local function ends(socket)
	return ("%s %s -> %s %s"):format(text(socket.remote_ip4 or socket.remote_ip6), tostring(socket.remote_tcpport),
		text(socket.local_ip4 or socket.local_ip6), tostring(socket.local_tcpport))
end

local handler = http.generate_handler(function(request)
	request:send_status("200 OK")
	if trusted then
		request:send_data(tostring(request.client_ip), " ", request.scheme)
	else
		request:send_data(ends(request.socket))
	end
end)

listen{
	{ proto = "tcp4", port = 0, localhost = true, proxy_protocol = proxied },
	{ proto = "tcp4", port = 0, localhost = true, proxy_protocol = proxied, connect = function(socket) return handler(socket) end },
	{ proto = "tcp", port = 0, host = "127.0.0.1", proxy_protocol = proxied, connect = function(socket)
		socket:write(ends(socket), " ", socket:read("*l"), "\n")
	end },
	{ proto = "local", path = path, proxy_protocol = proxied },
	connect = handler,
	trusted_proxies = trusted,
}
