-- The same HTTP handler, served by the server and on raw sockets. Both must send the same bytes.
local http = require "moonbridge_http"
local mark = ...

local paths = {}

function paths.head(request)
	request:send_status("200 OK")
	request:send_header("X-A", "b")
	request:send_data("some text")
end

function paths.empty(request) request:send_status("204 No Content") end

function paths.reset_content(request) request:send_status("205 Reset Content") end

function paths.length(request)
	request:send_status("200 OK")
	request:send_header("Content-Length", "4")
	request:send_data("four")
end

function paths.short(request)
	request:send_status("200 OK")
	request:send_header("Content-Length", "5")
	request:send_data("four")
	request:flush()
end

function paths.large(request)
	request:send_status("200 OK")
	request:send_data(("0123456789"):rep(30000))
end

function paths.parts(request)
	request:send_status("200 OK")
	for i = 1, 3 do
		request:send_data("part ", i)
		request:flush()
	end
end

function paths.hints(request)
	request:send_status("103 Early Hints")
	request:send_header("Link", "</x>")
	request:finish_headers()
	request:send_status("200 OK")
	request:send_data("hinted")
end

-- The hints go out some time before the body is read.
function paths.hints_read(request)
	request:defer_reading()
	request:send_status("103 Early Hints")
	request:send_header("Link", "</x>")
	request:finish_headers()
	local start = os.clock()
	repeat until os.clock() > start + 0.05
	local body = request.body
	request:send_status("200 OK")
	request:send_data("read ", body)
end

function paths.hints_only(request)
	request:send_status("103 Early Hints")
	request:finish_headers()
	error("after the hints")
end

function paths.closing(request)
	request:send_status("200 OK")
	request:send_header("Connection", "close")
	request:send_data("bye")
end

function paths.fail() error("a mistake") end

function paths.no_status() end

function paths.unread(request)
	request:send_status("200 OK")
	request:send_data("unread")
end

-- Runs until the test has read the output so far.
function paths.hold(request)
	request:send_status("200 OK")
	request:send_data(("x"):rep(2000))
	repeat local f = io.open(mark) until f and f:close()
	request:send_data("end")
end

local function mirror(request)
	local body = request.body
	request:send_status("200 OK")
	request:send_data(request.method, " ", request.path, " ", request.query, "\n")
	for _, name in ipairs{ "host", "x", "connection", "expect", "content-length" } do
		for _, value in ipairs(request.headers[name]) do
			request:send_data(name, ": ", value, "\n")
		end
	end
	request:send_data(body)
end

local function handler(options)
	options.static_headers = { "Server: x" }
	options.drain_timeout = 20 -- on a busy machine, a client may send slowly what is not read
	return http.generate_handler(function(request)
		return (paths[request.path] or mirror)(request)
	end, options)
end

local all = {
	handler{},
	handler{ request_header_size_limit = 200, request_body_size_limit = 10 },
	handler{ idle_timeout = 1, request_header_timeout = 0.3, stall_timeout = 0.3 },
	handler{ idle_timeout = 1, request_header_timeout = 0.3, stall_timeout = 0.3, stream_body = true },
	handler{ stream_body = true },
}

-- Clients that close their sending side at once are answered on a busy machine too.
local listeners = { min_fork = 2, max_fork = 8, fork_delay = 0, gone_after = false }
for i, h in ipairs(all) do
	listeners[#listeners + 1] = { proto = "tcp4", port = 0, localhost = true, connect = h }
	listeners[#listeners + 1] = { proto = "tcp4", port = 0, localhost = true, connect = function(socket)
		if not socket.interval then return h(socket) end
	end }
end
listen(listeners)
