-- HTTP on raw sockets. The path of a request says what is to be done: see rawhttp_test.go.
local http = require "moonbridge_http"
local channel = require "moonbridge_channel"
local cache = require "moonbridge_cache"

local paths = {}
local served

function paths.hello(request)
	request:send_status("200 OK")
	request:send_data("hello")
end

function paths.body(request)
	request:send_status("200 OK")
	request:send_data(request.body)
end

-- Answers piece by piece while the body still comes.
function paths.stream(request)
	request:defer_reading()
	request:send_status("200 OK")
	request:stream_request_body(function(chunk) request:send_data(chunk) end)
end

function paths.form(request)
	request:send_status("200 OK")
	request:send_data(request.method, " ", request.post_params.a, " ", request.headers_value["x-y"])
end

-- Holds output back until the test has seen it.
function paths.hold(request)
	request:send_status("200 OK")
	request:send_data(("x"):rep(2000))
	repeat local f = io.open(request.query:sub(2)) until f and f:close()
	request:send_data("end")
end

function paths.count(request)
	local n, message = channel.count("a")
	request:send_status("200 OK")
	request:send_data(tostring(n), " ", tostring(message))
end

function paths.purge(request)
	local ok, message = cache.purge("a")
	request:send_status("200 OK")
	request:send_data(tostring(ok), " ", tostring(message))
end

function paths.fail() error("a mistake") end

function paths.fail_late(request)
	request:send_status("200 OK")
	request:send_data("some")
	request:flush()
	error("a late mistake")
end

function paths.last(request)
	paths.hello(request)
	return false
end

function paths.cancel(request)
	request:send_status("200 OK")
	request:send_data("some")
	request:flush()
	request.socket:cancel()
	print(pcall(request.send_data, request, ("x"):rep(1000000)))
end

function paths.close(request) request.socket:close() end

function paths.address(request)
	request:send_status("200 OK")
	local s = request.socket
	request:send_data(s == served and "same " or "other ", s.remote_tcpport, " ", s.local_tcpport)
end

function paths.nested(request)
	request:send_status("200 OK")
	request:send_data((select(2, pcall(paths.handler, request.socket))))
end

function paths.hurry(request)
	timeout(1000)
	paths.hello(request)
end

function paths.limited(request)
	timeout(1000) -- in place of the limit around it
	timeout(1000, paths.hello, request)
end

function paths.overtime(request)
	paths.hello(request)
	request:finish()
	timeout(0.05)
	while true do end
end

function paths.exit(request)
	paths.hello(request)
	request:finish()
	os.exit(124)
end

-- Lua is closed first, with the socket object in it.
function paths.exit_closed(request)
	paths.hello(request)
	request:finish()
	os.exit(124, true)
end

-- Leaves the body, and ends when the test has seen that it is there.
function paths.exit_early(request)
	repeat local f = io.open(request.query:sub(2)) until f and f:close()
	paths.exit(request)
end

function paths.large(request)
	request:send_status("200 OK")
	request:send_data(("x"):rep(400000))
end

function paths.rest(request)
	request:send_status("200 OK")
	request:send_data(timeout() > 0 and "some" or "none")
end

paths.handler = http.generate_handler(function(request) return paths[request.path](request) end,
	{ request_body_size_limit = 10000000, minimum_output_chunk_size = 1024, drain_timeout = 0.1 })

local function serve(socket)
	served = socket
	return paths.handler(socket)
end

local function says(...) print((select(2, pcall(paths.handler, ...)))) end

listen{
	{ proto = "tcp4", port = 1 },
	{ proto = "tcp4", port = 2, connect = function(socket)
		socket:write(socket:readuntil("\n"))
		local result = serve(socket)
		print(result, tostring(socket):match("closed"), (select(2, pcall(socket.write, socket, "x"))))
		says(socket)
		return result
	end },
	{ proto = "tcp4", port = 3, connect = function(socket)
		says()
		says(42)
		says({})
		socket.output:close()
		says(socket)
	end },
	{ proto = "interval", delay = 1, name = "tick", connect = function(socket) says(socket) end },
	{ proto = "tcp4", port = 4, connect = function(socket) return timeout(1000, serve, socket) end },
	{ proto = "tcp4", port = 5, connect = function(socket)
		timeout(0.1) -- around all requests
		return serve(socket)
	end },
	{ proto = "tcp4", port = 6, connect = function(socket) return timeout(0.5, serve, socket) end },
	connect = serve,
	finish = function() says() end,
}
