-- One of everything that has figures. The arguments are a directory, with a.pem and a-key.pem and the file files/a, and a target.
local http = require "moonbridge_http"
local websocket = require "moonbridge_websocket"
local channel = require "moonbridge_channel"
local dir, target = ...

channel.declare("room", { history = { messages = 10 } })
websocket.handler("echo", { message = function(ws, data, kind) ws:send(data, kind) end })

local pages = {
	page = function(request) request:send_header("Cache-Control", "s-maxage=1000") end,
	stale = function(request) request:send_header("Cache-Control", "max-age=0, stale-while-revalidate=1000") end,
	publish = function() channel.publish("room", "message") end,
}

local function answer(request)
	local path = request.path
	if path == "missing" then
		request:send_status("404 Not Found")
		return request:send_data("nothing")
	elseif path == "error" then
		error("on purpose")
	elseif path == "dies" then
		os.execute("kill -9 $PPID")
	elseif path == "events" then
		return request:subscribe{ channels = { "room" } }
	elseif path == "socket" then
		return request:accept_websocket{ handler = "echo" }
	end
	request:send_status("200 OK")
	if pages[path] then
		pages[path](request)
	end
	request:send_data("answer to ", path)
end

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	{ proto = "tcp4", port = 0, localhost = true, tls = { cert = dir .. "/a.pem", key = dir .. "/a-key.pem" } },
	{ proto = "tcp4", port = 0, localhost = true, http2 = "h2c" },
	{ proto = "interval", name = "cleanup", delay = 3600, connect = function() end },
	static = { ["/files/"] = dir .. "/files" },
	routes = { ["/target/"] = { proxy = target }, ["/gone/"] = { proxy = "http://127.0.0.1:1", retries = 0 } },
	min_fork = 2, max_fork = 2,
	connect = http.generate_handler({ cache = true, request_body_size_limit = 100 }, answer),
}

listen{ { proto = "tcp4", port = 0, localhost = true }, rate_limit = { rate = 0.001, burst = 3 }, connection_limit = { rate = 0.001, burst = 1 }, min_fork = 1, max_fork = 1, connect = http.generate_handler(answer) }

local handler = http.generate_handler(answer)
listen{ { proto = "tcp4", port = 0, localhost = true }, min_fork = 1, max_fork = 1, connect = function(socket) return handler(socket) end }
