-- WebSockets that echo, for benchmarks/websocket. The port is the first argument.
local http = require "moonbridge_http"
local websocket = require "moonbridge_websocket"

websocket.handler("echo", { message = function(ws, data, kind) ws:send(data, kind) end })

listen{
	{ proto = "tcp4", port = tonumber((...)), localhost = true },
	connect = http.generate_handler(function(request)
		request:accept_websocket{ handler = "echo", compress = request.path == "compress" }
	end),
}
