-- WebSockets: what a message does is in its first word.
local http = require "moonbridge_http"
local websocket = require "moonbridge_websocket"
local channel = require "moonbridge_channel"

local version = os.getenv("WS_VERSION_FILE") and io.open(os.getenv("WS_VERSION_FILE")):read("*l") or "one"

local verbs = {
	echo = function(ws, rest, kind) ws:send(rest, kind) end,
	id = function(ws) ws:send(ws.id) end,
	pid = function(ws) ws:send(tostring(require("moonbridge_io") and io.open("/proc/self/stat"):read("*n"))) end,
	version = function(ws) ws:send(version) end,
	count = function(ws)
		ws.state = tostring(tonumber(ws.state) + 1)
		ws:send(ws.state)
	end,
	fails = function() error("failed on purpose") end,
	exits = function() os.exit(3) end,
	dies = function() os.execute("kill -9 $PPID") end,
	sleeps = function(ws, rest)
		os.execute("sleep " .. rest)
		ws:send("slept")
	end,
	limited = function(ws, rest)
		timeout(tonumber(rest))
		while true do end
	end,
	hangs = function() while true do end end,
	limit = function(ws, rest)
		ws:send(tostring(timeout() > 0))
		timeout(tonumber(rest))
	end,
	pcall = function(ws, rest) -- a function of two arguments, in Lua
		local ok, result = pcall((loadstring or load)("local ws, websocket = ... " .. rest), ws, websocket)
		ws:send(tostring(ok) .. " " .. tostring(result):gsub("^.-:%d+: ", ""))
	end,
	retires = function() return false end,
	many = function(ws, rest)
		for i = 1, tonumber(rest) do
			ws:send(("%d:"):format(i) .. ("x"):rep(1000))
		end
	end,
	large = function(ws, rest) ws:send(("y"):rep(tonumber(rest)), "binary") end,
	subscribe = function(ws, rest)
		ws:subscribe(rest)
		ws:send("subscribed")
	end,
	unsubscribe = function(ws, rest)
		ws:unsubscribe(rest)
		ws:send("unsubscribed")
	end,
	publish = function(ws, rest) ws:send("to " .. ws:publish("room", rest)) end,
	close = function(ws, rest) ws:close(4000, rest) end,
	to = function(ws, rest)
		local id, text = rest:match("^(%S+) (.*)$")
		ws:send(tostring(websocket.send(id, text)))
	end,
	ends = function(ws) websocket.close(ws.id, 4000, "by its id") end,
	["end"] = function(ws, rest) ws:send(tostring(websocket.close(rest, 4001, "by another"))) end,
	progress = function(ws)
		ws:send("begins")
		local file = os.getenv("WS_GO_ON")
		while not io.open(file) do os.execute("sleep 0.02") end
		ws:send("ends")
	end,
	misuse = function(ws)
		local told = {}
		for _, f in ipairs{
			function() ws:send({}) end, function() ws:send("x", "json") end, function() ws:close(99) end,
			function() ws:subscribe("") end, function() ws.send({}, "x") end,
		} do
			local ok, err = pcall(f)
			told[#told + 1] = tostring(ok)
		end
		ws:send(table.concat(told, " "))
	end,
	keep = function(ws) kept = ws ws:send("kept") end,
	kept = function(ws)
		local ok, err = pcall(kept and kept.send or error, kept, "late")
		ws:send(tostring(ok))
	end,
}

local function message(ws, data, kind)
	local word, rest = data:match("^(%S+) ?(.*)$")
	return verbs[word](ws, rest, kind)
end

websocket.handler("test", {
	open = function(ws) ws:send("open " .. ws.state) end,
	message = message,
	close = function(ws, code, reason)
		channel.publish("ends", ("%s %d %s"):format(ws.state, code, reason))
	end,
})
websocket.handler("quiet", { message = message })
if not os.getenv("WS_VERSION_FILE") or version == "one" then
	websocket.handler("leaves", { message = message })
end

listen{
	{ proto = "tcp4", port = 0, localhost = true, http2 = "h2c" },
	min_fork = 2, max_fork = 4, request_timeout = tonumber(os.getenv("WS_LIMIT")),
	connect = http.generate_handler(function(request)
		local q = request.get_params
		if q.mistake then
			local _, message = pcall(request.accept_websocket, request, (loadstring or load)("return " .. q.mistake)())
			request:send_status("200 OK")
			return request:send_data(message)
		end
		request:accept_websocket{
			handler = q.handler or "test", state = q.state or "0", channels = q.channel and { q.channel } or nil,
			key = q.key, last_id = q.last_id, protocols = { "v2", "v1" }, on_error = q.on_error,
			max_message = tonumber(q.max), compress = q.compress and (q.compress == "takeover" and "takeover" or true) or nil,
		}
	end),
}
