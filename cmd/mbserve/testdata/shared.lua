-- Shared dictionaries, for shared_test.go. A request is a piece of Lua, the query; it sees the dictionaries d (kept) and own.
local http = require "moonbridge_http"
local moonbridge = require "moonbridge_shared"

d = moonbridge.shared("kept", "4M", { keep = true })
own = moonbridge.shared("own", 1024 * 1024)
shared, limit = moonbridge.shared, moonbridge.limit
d:add("loads", 0)
d:incr("loads", 1)

local function show(...)
	local t = {}
	for i = 1, select("#", ...) do
		t[i] = tostring((select(i, ...)))
	end
	return table.concat(t, " ")
end

local function run(text)
	local f, e = (loadstring or load)(text)
	if not f then
		return e
	end
	return show(select(2, pcall(f)))
end

local handler = http.generate_handler(function(request)
	request:send_status("200 OK")
	request:send_data(run(request.body))
end)

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	{ proto = "interval", name = "tick", delay = 0.05, connect = function() d:incr("ticks", 1, 0) end },
	min_fork = 2, connect = handler,
}

listen{ { proto = "tcp4", port = 0, localhost = true }, min_fork = 2, connect = handler }
