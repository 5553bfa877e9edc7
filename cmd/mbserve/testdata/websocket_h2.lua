-- WebSockets of every kind over HTTP/2, and a page for them. The arguments are the target of a route, and a directory with the
-- files a.pem and a-key.pem.
local target, dir = ...
local http = require "moonbridge_http"
local websocket = require "moonbridge_websocket"

websocket.handler("echo", {
	open = function(ws) ws:send("open " .. ws.state) end,
	message = function(ws, data, kind) ws:send(data, kind) end,
})

local function facts(request)
	local fields = request.headers_value
	return table.concat({ request.method, request.http_version, fields["Connection"], fields["Upgrade"], fields["Sec-WebSocket-Version"],
		#(fields["Sec-WebSocket-Key"] or "") }, " ")
end

listen{
	{ proto = "tcp4", port = 0, localhost = true, http2 = "h2c" },
	{ proto = "tcp4", port = 0, localhost = true, tls = { cert = dir .. "/a.pem", key = dir .. "/a-key.pem" } },
	routes = { ["/proxied"] = { proxy = target } },
	connect = http.generate_handler(function(request)
		if request.path == "echo" then
			request:accept_websocket{ handler = "echo", state = facts(request), protocols = { "echo" }, compress = true }
		elseif request.path == "blocking" then
			local ws = request:websocket{ protocols = { "echo" } }
			ws:send("open " .. facts(request))
			local data, kind = ws:receive()
			while data do
				ws:send(data, kind)
				data, kind = ws:receive()
			end
		elseif request.path == "none" then
			request:send_status("403 Forbidden")
			request:send_data("no")
		else
			request:send_status("200 OK")
			request:send_header("Content-Type", "text/html")
			request:send_data("<p id=version>", request.http_version, "</p>")
		end
	end),
}
