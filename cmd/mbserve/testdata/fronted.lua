-- What packaging/haproxy.cfg and packaging/nginx.conf expect, with a stream of events and a WebSocket.
local http = require "moonbridge_http"
local channel = require "moonbridge_channel"

require "moonbridge_websocket".handler("echo", { message = function(ws, data) ws:send(data) end })

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	{ proto = "tcp4", port = 0, localhost = true, proxy_protocol = true },
	trusted_proxies = { "127.0.0.1" },
	connect = http.generate_handler(function(request)
		if request.path == "events" then
			return request:subscribe{ channels = "news" }
		elseif request.path == "socket" then
			return request:accept_websocket{ handler = "echo" }
		elseif request.method == "POST" then
			channel.publish("news", request.body)
		end
		request:send_status("200 OK")
		request:send_data(("%s %s %s"):format(request.client_ip, request.scheme, request.host))
	end),
}
