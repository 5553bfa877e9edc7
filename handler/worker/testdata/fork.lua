-- Handlers that fork. The path, or the first line on a raw connection, says how the child comes back to the server's code.
local http = require "moonbridge_http"
local mode, by, modules = ...
package.cpath = modules .. "/?.so"
local processes = require "processes"
local fork = processes[by]

-- Comes back twice: the child gets nothing.
local answer
local function twice()
	local pid = fork()
	if pid ~= 0 then
		answer = processes.wait(pid)
		return answer
	end
end

-- What the child of an HTTP handler does. When it comes back from here, the handler returns.
local leaves, calls = {}, {}
function leaves.returns() end
function leaves.returns_false() return false end
function leaves.fails() error("a mistake of the child") end
function leaves.fails_oddly() error({}) end
function leaves.exits() os.exit(7) end
function leaves.exits_at_once() processes._exit(8) end
function leaves.executes() processes.exec("exit 6") end

-- When it comes back from here, it goes on.
function calls.status(request) pcall(request.send_status, request, "200 OK") end
function calls.data(request) request:send_data("child") end
function calls.flush(request) request:flush() end
function calls.finish(request) request:finish() end
function calls.finish_headers(request) request:finish_headers() end
function calls.field(request) return request.method end
function calls.headers(request) return request.headers end
function calls.own_field(request) request.own = 1 end
function calls.params(request) return request.get_params.a end
function calls.body(request) return request.body end
function calls.form(request) request:process_request_body() end
function calls.defer(request) request.defer_reading() end
function calls.socket(request) return request.socket end
function calls.cancel(request) request.socket:cancel() end
function calls.timeout() timeout(10) end
function calls.listen() pcall(listen, {}) end
function calls.poll() moonbridge_io.poll(nil, nil, 0, true) end
function calls.coroutine(request) coroutine.wrap(function() request:send_status("200 OK") end)() end

local raw_leaves, raw_calls = { returns = leaves.returns, fails = leaves.fails, exits = leaves.exits }, {}
function raw_calls.write(socket) socket:write("child") end
function raw_calls.read(socket) socket:read("*l") end
function raw_calls.lines(socket) socket:lines() end
function raw_calls.close(socket) socket:close() end
function raw_calls.cancel(socket) socket:cancel() end
function raw_calls.field(socket) return socket.remote_tcpport end
function raw_calls.close_output(socket) socket.output:close() end

local function run(name, object, leave, call)
	local pid = fork()
	if pid ~= 0 then return processes.wait(pid) end
	if leave[name] then return nil, leave[name](object) end
	call[name](object)
	io.stderr:write(name, " goes on\n")
	processes._exit(9)
end

local function respond(request, text)
	request:send_status("200 OK")
	request:send_data(text)
end

-- The child comes back from a function that the server has called.
local within = {}
function within.stream(request) request:stream_request_body(twice) respond(request, answer) end
function within.stream_param(request)
	request:stream_post_param("a", twice)
	request:process_request_body()
	respond(request, answer)
end
function within.tostring(request)
	respond(request, setmetatable({}, { __tostring = function() return twice() or "child" end }))
end
function within.limited(request) respond(request, timeout(10, twice)) end
function within.coroutine(request)
	if coroutine.wrap(twice)() then respond(request, answer) end
end

function within.lives_on(request)
	local fifo = request.query:sub(2)
	if fork() == 0 then
		io.open(fifo)
		io.stderr:write("the child ends\n")
		processes._exit(0)
	end
	respond(request, "forked")
end

function within.group(request) respond(request, processes.group() == processes.pid() and "its own" or "another") end

-- The process that is started has the worker's standard error until it ends.
function within.starts(request) respond(request, os.execute("echo started >&2; sleep 100")) end
function within.starts_late()
	os.execute("sleep 100 & echo started >&2")
	timeout(0.05)
	while true do end
end
function within.leaves(request)
	local pipe = io.popen("sleep 100 >/dev/null 2>&1 & echo $!")
	respond(request, pipe:read("*l"))
	pipe:close()
end

local handle = http.generate_handler(function(request)
	if within[request.path] then return within[request.path](request) end
	if request.path == "pid" then return respond(request, processes.pid()) end
	local name, socket = request.path, request.socket
	if name == "cancel" then calls.cancel = function() socket:cancel() end end
	local text, result = run(name, request, leaves, calls)
	if not text then return result end
	respond(request, text)
end)

if mode == "top" then print("top", twice() or "child") end

listen{
	{ proto = "tcp4", port = 1, connect = handle },
	{ proto = "tcp4", port = 2, connect = function(socket)
		local name = socket:readuntil("\n"):sub(1, -2)
		socket:write("once ")
		local text = run(name, socket, raw_leaves, raw_calls)
		if text then socket:write(text) end
	end },
	{ proto = "tcp4", port = 3, connect = function(socket) return handle(socket) end },
	{ proto = "interval", delay = 1, name = "returns", connect = function(socket)
		if twice() then io.stderr:write("tick ", answer, "\n") end
	end },
	{ proto = "interval", delay = 1, name = "fails", connect = function(socket)
		if twice() then io.stderr:write("tick ", answer, "\n") else error("a mistake of the child") end
	end },
	{ proto = "main", name = "main", connect = function(socket)
		if twice() then io.stderr:write(socket.main, " ", answer, "\n") end
	end },
	connect = handle,
	prepare = function()
		if mode == "prepare" then
			if twice() then io.stderr:write("prepare ", answer, "\n") end
		end
	end,
	finish = function()
		if mode == "finish" then
			if twice() then io.stderr:write("finish ", answer, "\n") end
		end
	end,
}

if mode == "end" then print("end", twice() or "child") end
