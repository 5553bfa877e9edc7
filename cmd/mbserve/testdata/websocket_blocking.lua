-- WebSockets with a worker each: what a message does is in its first word.
local http = require "moonbridge_http"

local function note(...)
	local f = io.open(os.getenv("WS_NOTES") or "/dev/null", "a")
	f:write(table.concat({ ... }, " "), "\n")
	f:close()
end

local function text(...)
	local all = {}
	for i = 1, select("#", ...) do all[i] = tostring((select(i, ...))) end
	return table.concat(all, " ")
end

local verbs = {
	echo = function(ws, rest, kind) ws:send(rest, kind) end,
	many = function(ws, rest)
		for i = 1, tonumber(rest) do
			if not ws:send(("%d:"):format(i) .. ("x"):rep(1000)) then return note("stopped") end
		end
		note("sent all")
	end,
	large = function(ws, rest) ws:send(("y"):rep(tonumber(rest)), "binary") end,
	timeout = function(ws) ws:send(text(ws:receive(0.01))) end,
	waits = function(ws)
		ws:send("begins")
		while not io.open(os.getenv("WS_GO_ON")) do os.execute("sleep 0.01") end
		ws:send("ends")
	end,
	close = function(ws, rest)
		ws:close(4000, rest)
		note("send", text(ws:send("x")))
		note("receive", text(ws:receive()))
		note("receive", text(ws:receive()))
		note("send", text(ws:send("x")))
	end,
	leaves = function(ws) note(text(ws:receive())) end,
	lingers = function(ws)
		ws:receive()
		repeat os.execute("sleep 0.01") until io.open(os.getenv("WS_GO_ON"))
	end,
	fails = function() error("failed on purpose") end,
	exits = function() os.exit(3) end,
	misuse = function(ws, _, _, request)
		ws:send(text(pcall(ws.send, ws, {}), pcall(ws.send, ws, "x", "json"), pcall(ws.close, ws, 99), pcall(ws.receive, ws, -1),
			pcall(ws.send, {}, "x"), pcall(request.send_data, request, "x"), pcall(request.websocket, request)):gsub("[^%w ]+", ""):gsub("%s+", " "):sub(1, 5))
	end,
	keep = function(ws) kept = ws ws:send("kept") end,
	kept = function(ws) ws:send(text(pcall(kept.send, kept, "late")):match("^%a+")) end,
}

local function serve(request)
	local q = request.get_params
	local ws, why = request:websocket{
		protocols = { "v2", "v1" }, max_message = tonumber(q.max),
		compress = q.compress and (q.compress == "takeover" and "takeover" or true) or nil,
	}
	if not ws then
		request:send_data(why)
		return
	end
	if q.push then
		repeat
			ws:send("tick")
			local data, what = ws:receive(0.01)
		until what ~= "timeout"
		note("push ended")
		return
	end
	for data, kind in ws:messages() do
		local word, rest = data:match("^(%S+) ?(.*)$")
		if word == "return" then return end
		verbs[word](ws, rest, kind, request)
	end
end

listen{
	{ proto = "tcp4", port = 0, localhost = true, http2 = "h2c" },
	min_fork = 2, max_fork = 4, request_timeout = tonumber(os.getenv("WS_LIMIT")),
	connect = http.generate_handler(serve),
}
