-- Finalizers that run, and code of the application that is called, in the middle of a function of the server's.
local http = require "moonbridge_http"
local websocket = require "moonbridge_websocket"
local io2 = require "moonbridge_io"

local function finalized(f)
	if newproxy then -- Lua 5.1 has finalizers of userdata only
		getmetatable(newproxy(true)).__gc = f
	else
		setmetatable({}, { __gc = f })
	end
end

-- From now on whatever allocates collects all garbage.
local function collect_at_once()
	collectgarbage("setpause", 1)
	collectgarbage("setstepmul", 10000000)
	collectgarbage("stop")
	collectgarbage("restart")
end

local pages = {}

-- While listen counts its pool, code of the script calls it, too.
local dump = string.dump
local function text(name)
	return http.generate_handler(function(request)
		local page = pages[request.path]
		local answer = page and page(request) or name
		if answer ~= true then
			request:send_status("200 OK")
			request:send_data(answer)
		end
	end)
end
string.dump = function(...)
	string.dump = dump
	listen{ { proto = "tcp4", port = 0, localhost = true }, connect = text("inner") }
	return dump(...)
end
listen{
	{ proto = "tcp4", port = 0, localhost = true },
	{ proto = "interval", delay = 3600, handler = function() end },
	connect = function(socket)
		if socket.interval then return end
		socket:write("outer")
	end }

-- A stream handler changes the options of the method that reads the form.
function pages.not_modified(request)
	local options = { etag = '"' .. ("e"):rep(100) .. '"' }
	request:stream_post_param("field", function()
		options.etag = nil
		collectgarbage()
		collectgarbage()
		kept = {}
		for i = 1, 2000 do
			kept[i] = ("z"):rep(60) .. ("%042d"):format(i)
		end
	end)
	return request:not_modified(options)
end

-- Reading from a handle that a finalizer reads from: each byte comes once.
function pages.handle()
	local child = io2.exec("head", "-c", "200000", "/dev/zero")
	local zeros = child.stdout
	local others, done = 0, false
	for i = 1, 3 do
		finalized(function()
			if not done then others = others + #zeros:read(4096 * 5 + 7) end
		end)
	end
	collect_at_once()
	local own = #zeros:read()
	done = true
	child:wait()
	return tostring(own + others)
end

-- The handle belongs to an object that nobody has any more: its finalizer closes the file.
function pages.file()
	local path = os.tmpname()
	local f = assert(io.open(path, "w"))
	f:write(("x"):rep(3000000))
	f:close()
	f = io.open(path)
	os.remove(path)
	finalized(function() f:close() end)
	collect_at_once()
	local ok, e = pcall(f.readuntil, f, "\n")
	return tostring(ok and #e or e)
end

-- A finalizer reads the body, which comes through the memory that the head is in. Nothing of the request has been read before.
listen{ { proto = "tcp4", port = 0, localhost = true }, connect = http.generate_handler({ stream_body = true }, function(request)
	local read = 0
	finalized(function() request:stream_request_body(function(piece) read = read + #piece end) end)
	collect_at_once()
	local seen = request.traceparent
	request:send_status("200 OK")
	request:send_data(tostring(seen), " ", read)
end) }

-- A method of the table of handlers runs while accept_websocket reads its options: it changes them, or sends a response.
local answering, accepted
websocket.handler("asked", setmetatable({ message = function(ws)
	ws:send(ws.state == "" and "sss" or ws.state:sub(1, 3)) -- it is gone if it had not been read before the handler
end }, { __index = function()
	if accepted and accepted.state then
		accepted.state = nil
		collectgarbage()
		collectgarbage()
		kept = {}
		for i = 1, 2000 do
			kept[i] = ("z"):rep(60) .. ("%042d"):format(i)
		end
	end
	local request = answering
	if request then
		answering = nil
		request:send_status("200 OK")
		request:send_data("answered")
		request:finish()
	end
end }))
listen{ { proto = "tcp4", port = 0, localhost = true }, connect = http.generate_handler(function(request)
	answering = request.path == "answered" and request
	accepted = { handler = "asked", state = ("s"):rep(102) }
	local ok, e = pcall(request.accept_websocket, request, accepted)
	if not ok then print(e) end
	answering, accepted = nil
end) }

-- An object of an event that has failed is used when its connection may be that of another worker.
local object
websocket.handler("keeps", { message = function(ws)
	object = ws
	error("failed on purpose")
end })
listen{
	{ proto = "tcp4", port = 0, localhost = true }, max_fork = 1, recycle_on_error = true,
	finish = function()
		if object then
			local ok, e = pcall(object.send, object, "late")
			print("late", ok, e)
		end
	end,
	connect = http.generate_handler(function(request) request:accept_websocket{ handler = "keeps" } end) }
