-- Channels, for channels_test.go. The argument is the time limit of a response. A POST is a piece of Lua, with channel and request; a GET subscribes to the channels of its query.
local http = require "moonbridge_http"
channel = require "moonbridge_channel"
local limit = ...

channel.declare("room:*", { history = { messages = 10000, bytes = 1e7, seconds = 600 }, presence = true, slow = 20 })
channel.declare("short", { history = { messages = 2 } })

local function show(...)
	local t = {}
	for i = 1, select("#", ...) do
		t[i] = tostring((select(i, ...)))
	end
	return table.concat(t, " ")
end

local function run(request)
	local f, e = (loadstring or load)("local request = ... " .. request.body)
	if not f then
		return e
	end
	return show(select(2, pcall(f, request)))
end

local function subscribe(request)
	local p = request.get_params
	local options = { channels = request.get_params_list.c, last_id = request.headers_value["Last-Event-ID"] or p.id, key = p.key }
	if request.path == "wait" then
		options.timeout = tonumber(p.timeout)
		request:wait(options)
	else
		options.retry, options.first, options.keepalive = tonumber(p.retry), p.first, tonumber(p.keepalive)
		request:subscribe(options)
	end
end

local handler = http.generate_handler(function(request)
	if request.method == "GET" then
		return subscribe(request)
	end
	local result = run(request)
	request:send_status("200 OK")
	request:send_data(result)
end, { response_timeout = tonumber(limit) or 2, idle_timeout = 2 })

listen{
	{ proto = "tcp4", port = 0, localhost = true, http2 = "h2c" },
	{ proto = "interval", name = "tick", delay = 0.05, connect = function() channel.publish("ticks", "tick") end },
	min_fork = 2, max_fork = 2,
	prepare = function() channel.publish("room:prepared", "x") end,
	connect = handler,
}

listen{ { proto = "tcp4", port = 0, localhost = true }, min_fork = 1, max_fork = 1, connect = function(socket)
	socket.input:read("*l")
	socket:write(show(channel.publish("room:raw", "raw")), "\n")
end }
