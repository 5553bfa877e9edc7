-- What a handler does whose client has gone, or goes: the path names it. Listener 1 has its handlers ended.
local http = require "moonbridge_http"
local released, fifo = ...

if jit then jit.off() end -- compiled loops hear no hook

local function forever() while true do end end
local function answer(request, ...)
	request:send_status("200 OK")
	request:send_data(...)
end
local function await(name) -- until there is a file
	repeat local f = io.open(name) until f and f:close()
end

local function run(...) -- and says so
	io.stderr:write("runs\n")
	forever(...)
end

local paths = {}

function paths.loop() forever() end

function paths.late(request)
	answer(request, "early")
	request:flush()
	forever()
end

function paths.catch(request)
	local ok, message = pcall(run)
	answer(request, tostring(ok), " ", tostring(message):match("client .*$"), " ", tostring(request:client_gone()))
end

function paths.cleanup(request)
	local own = function() end
	debug.sethook(own, "", 1000000)
	pcall(run)
	local f, mask, count = debug.gethook()
	debug.sethook()
	answer(request, tostring(f == own), " ", mask, " ", count)
end

function paths.finished(request)
	answer(request, "finished")
	request:finish()
	await(released)
end

function paths.write(request) -- more than any client takes
	request:send_status("200 OK")
	for _ = 1, 1000 do request:send_data(("x"):rep(10000)) end
end

function paths.coroutine(request)
	local write = coroutine.wrap(function()
		request:send_status("200 OK")
		while true do
			request:send_data(("x"):rep(2000))
			request:flush()
		end
	end)
	write()
end

function paths.limit(request)
	timeout(60)
	await(released)
	answer(request, "still here")
end

function paths.short()
	timeout(0.2)
	pcall(run)
	forever()
end

function paths.poll()
	moonbridge_io.poll(nil, nil, 3600)
end

function paths.poll_for_stop()
	moonbridge_io.poll(nil, nil, nil, true)
end

function paths.poll_again(request)
	local ok, message = pcall(function()
		io.stderr:write("runs\n")
		return moonbridge_io.poll(nil, nil, nil, true)
	end)
	answer(request, tostring(ok), " ", tostring(message):match("client .*$"), " ", tostring(moonbridge_io.poll(nil, nil, 0.01)))
end

function paths.blocked()
	local told
	local function block()
		if not told then
			told = true
			io.stderr:write("runs\n")
		end
		io.open(fifo) -- it has no writer
	end
	while true do pcall(block) end -- the error may come before the call waits
end

function paths.hello(request) answer(request, "hello") end

function paths.ask(request)
	answer(request, tostring(request:client_gone()), " ", tostring(request.socket:alive()), ";")
	request:flush()
	await(released)
	request:send_data(tostring(request:client_gone()), " ", tostring(request.socket:alive()))
end

local function handle(request) return paths[request.path](request) end
local ignores = http.generate_handler(handle)
local ends = http.generate_handler(handle, { on_client_gone = "error" })
local ends_soon = http.generate_handler(handle, { on_client_gone = "error", client_gone_timeout = 0.3 })

listen{
	{ proto = "tcp4", port = 1 },
	{ proto = "tcp4", port = 2, connect = http.generate_handler(handle, { on_client_gone = "error" }) },
	{ proto = "tcp4", port = 3, connect = function(socket)
		while true do
			local line = socket:read()
			if not line then return end
			socket:write(tostring(socket:alive()), "\n"):flush()
			if line == "await" then
				repeat until not socket:alive()
				io.stderr:write("gone, but ", socket:read() or "nothing", "\n")
				return
			elseif line == "close" then
				socket:close()
				io.stderr:write("alive: ", tostring(socket:alive()), "\n")
				return
			end
		end
	end },
	{ proto = "tcp4", port = 4, connect = function(socket) return ignores(socket) end },
	{ proto = "tcp4", port = 5, connect = function(socket) return ends(socket) end },
	{ proto = "tcp4", port = 6, connect = function(socket)
		repeat until not socket:alive()
		return ends(socket)
	end },
	{ proto = "tcp4", port = 7, connect = function(socket) return ends_soon(socket) end },
	recycle_on_error = true,
	connect = http.generate_handler(handle, { on_client_gone = "ignore" }),
}
