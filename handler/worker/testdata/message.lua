-- Requests that are answered by a message to the server, as their path says.
local http = require "moonbridge_http"
local websocket = require "moonbridge_websocket"

websocket.handler("nothing", { message = function() end })

listen{
	{ proto = "tcp4", port = 8080 },
	connect = http.generate_handler(function(request)
		if request.path == "subscribe" then
			request:subscribe{ channels = "a" }
		elseif request.path == "try" then
			local _, why = request:accept_websocket{ handler = "nothing" }
			request:send_data(why)
		else
			assert(request:accept_websocket{ handler = "nothing", protocols = { "b", "c" } })
		end
	end)
}
