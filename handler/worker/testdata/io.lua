-- moonbridge_io: see io_test.go. The path says what is to be done.
local http = require "moonbridge_http"
local io_ = require "moonbridge_io"
assert(io_ == moonbridge_io)

local paths, early = {}, nil

-- The text of an error, without a place and without the name that versions of Lua find for a function.
local function try(f, ...)
	return (tostring(select(2, pcall(f, ...))):gsub("^[^ ]*:%d+: ", ""):gsub(" to '[^']*'", ""))
end

local function show(...)
	local t = { ... }
	for i = 1, select("#", ...) do t[i] = tostring(t[i]) end
	return table.concat(t, " ")
end

local function sh(command, ...) return assert(io_.exec("sh", "-c", command, "sh", ...)) end

-- Gives a program its input while it reads its output, in pieces of any size.
local function filter(data, ...)
	local p = assert(io_.exec(...))
	local reading, writing, out = { [p.stdout] = true, [p.stderr] = true }, { [p.stdin] = true }, {}
	local function write(...)
		if next(writing) and p.stdin:flush_nb(...) == 0 then writing[p.stdin] = p.stdin:close() and nil end
	end
	write(data)
	while next(reading) or next(writing) do
		assert(io_.poll(reading, writing, 30))
		for h in pairs(reading) do
			local s, status = h:read_nb()
			out[#out + 1] = s
			if status == "eof" then reading[h] = h:close() and nil end
		end
		write()
	end
	return table.concat(out), p:wait()
end

function paths.filter()
	local data = ("0123456789abcdef"):rep(50000)
	local out, status = filter(data, "cat")
	return show(out == data, #out, status)
end

function paths.exec()
	local p = sh("read line; echo out $line $1; echo err >&2; exit 3", "argument")
	p.stdin:write("in", "put", 1)
	p.stdin:write("\n")
	p.stdin:close()
	local a, b, c = show(p.stdout:read()), show(p.stderr:read(3)), p:wait()
	return a .. "|" .. b .. "|" .. c .. "|" .. try(p.wait, p) .. "|" .. try(p.kill, p) .. "|" .. show(p.nothing)
end

function paths.signals()
	local p = sh("kill -TERM $$")
	local q = io_.exec("cat")
	local running = show(q:wait_nb())
	q:kill(15)
	local killed, r = q:wait(), io_.exec("cat")
	return show(p:wait(), running, killed, r:kill() == r, r:wait())
end

function paths.fails()
	return show(io_.exec("/nonexistent/program")) .. "|" .. try(io_.exec) .. "|" .. try(io_.exec, "a", "b\0c") .. "|"
		.. show(io_.exec("/"))
end

-- The program has three descriptors, whatever is open here, and no signal is ignored.
function paths.clean()
	local f = assert(io.open("/dev/null"))
	local out = filter("", "sh", "-c", "ls /proc/self/fd | wc -l; grep SigIgn /proc/self/status")
	f:close()
	local fds, ignored = out:match("(%d+)%s+SigIgn:%s*(%x+)")
	return show(fds, ignored:sub(-4, -4)) -- the digit with SIGPIPE
end

function paths.collected()
	local p = sh("echo $$; exec cat")
	local pid = p.stdout:read(nil, "\n"):match("%d+")
	p = nil
	collectgarbage()
	collectgarbage()
	return show(filter("", "sh", "-c", "kill -0 $1 2>/dev/null || echo gone", "sh", pid))
end

-- A worker has a copy of the object of a process that the script has started.
function paths.early() return try(early.kill, early) .. "|" .. try(early.wait, early) .. "|" .. try(early.wait_nb, early) end

function paths.reads()
	local p = sh("printf 'one\\ntwo;three'; read x; printf 'four'")
	local h, t = p.stdout, {}
	local function add(...) t[#t + 1] = show(...) end
	add(h:read(2))
	add(h:read(nil, "\n"))
	add(h:read(2, ";"))
	add(h:read(10, ";"))
	add(h:read(0))
	add(h:read(5))
	add(h:read_nb())
	p.stdin:close()
	add(h:read(100))
	add(h:read())
	add(h:read_nb(5))
	add(p.stdin == nil)
	return table.concat(t, "|")
end

function paths.misuse()
	local p = sh("cat")
	local h = p.stdout
	local t = { try(h.read, h, "x"), try(h.read, h, -1), try(h.read, h, 0 / 0), try(h.read, h, nil, "ab"), try(h.read),
		try(p.stdin.write, p.stdin, {}), try(p.stdin.flush_nb, p.stdin, nil) }
	p.stdin:close()
	for _, name in ipairs{ "read", "write", "flush_nb", "close", "finish" } do t[#t + 1] = try(p.stdin[name], p.stdin) end
	t[#t + 1] = tostring(p.stdin):match("handle %(closed%)") .. tostring(h):match("^handle: ")
	return table.concat(t, "\n")
end

-- Writing to a pipe without a reader fails, then and later.
function paths.gone()
	local p = sh("exec <&-; exec >&-; sleep 1")
	p.stdout:read()
	local a, b = show(p.stdin:flush("x")), show(p.stdin:write("y"))
	return a .. "|" .. b .. "|" .. show(p.stdin:write_nb("z")) .. "|" .. show(p.stdin:close()) .. "|" .. show(p:kill():wait())
end

-- What cannot be sent is kept, and counted.
function paths.held()
	local p = sh("read x; exec cat")
	local small = p.stdin:write_nb("go\n")
	local some = p.stdin:write_nb(("x"):rep(1000000))
	local more = p.stdin:flush_nb("end")
	local out = {}
	repeat
		io_.poll({ [p.stdout] = true }, { [p.stdin] = true })
		out[#out + 1] = p.stdout:read_nb()
	until p.stdin:flush_nb() == 0
	p.stdin:close()
	out[#out + 1] = p.stdout:read()
	out = table.concat(out)
	return show(small, some > 0, more == some + 3 or more < some, #out, out:sub(-4))
end

-- finish ends one direction of a connection; a pipe has only one.
function paths.finish()
	local p = sh("cat; echo end")
	p.stdin:write("text\n")
	local t = { show(p.stdin:finish()), show(p.stdout:read()), show(p.stdin:read()), try(p.stdin.write, p.stdin, "x"),
		try(p.stdin.finish, p.stdin), show(p.stdin:close()) }
	return table.concat(t, "|")
end

-- "port" and "path" of the test's servers are parameters.
function paths.tcp(request)
	local c = assert(io_.tcpconnect("127.0.0.1", tonumber(request.get_params.port)))
	c:flush("question")
	local a = show(c:finish(), c:read())
	local d = assert(io_.tcpconnect("127.0.0.1", request.get_params.port))
	d:flush("another")
	return a .. "|" .. show(d:finish(), d:read(6), d:read(), d:close())
end

function paths.unix(request)
	local c = assert(io_.localconnect(request.get_params.path))
	c:write("question")
	return show(c:finish(), c:read(), c:close())
end

function paths.refused(request)
	return show(io_.tcpconnect("127.0.0.1", request.get_params.port)) .. "|" .. show(io_.localconnect("/nonexistent")) .. "|"
		.. try(io_.localconnect, ("x"):rep(200)) .. "|" .. try(io_.localconnect, "a\0b") .. "|" .. try(io_.tcpconnect, "x") .. "|"
		.. tostring(io_.tcpconnect("127.0.0.1", "no-such-service")) .. "|" .. try(io_.tcpconnect, "127.0.0.1\0", 80) .. "|"
		.. try(io_.tcpconnect, "127.0.0.1", 65536) .. "|" .. try(io_.tcpconnect, "127.0.0.1", "70000") .. "|"
		.. try(io_.tcpconnect, "127.0.0.1", -1) .. "|" .. try(io_.tcpconnect, "127.0.0.1", 80.5) .. "|"
		.. try(io_.tcpconnect, "127.0.0.1", "http\0")
end

function paths.poll(request)
	local p = sh("read x; echo line; read x")
	local t = {}
	local function add(...) t[#t + 1] = show(...) end
	local before = io_.timeref()
	add(io_.poll(nil, nil, 0.05))
	add(io_.timeref(before) >= 0.05, io_.timeref(before) < 30)
	add(io_.poll({ [p.stdout] = true }, {}, 0, true))
	add(io_.poll({ [p.stdout] = true }, nil, -1))
	add(io_.poll({ [p.stdout] = false }, nil, 0))
	add(io_.poll({}, { [p.stdin] = true }, 30))
	p.stdin:flush("\n")
	add(io_.poll({ [p.stdout] = true }, nil, 30))
	p.stdout:read(1)
	add(io_.poll({ [p.stdout] = true })) -- the rest is in the handle's buffer
	local file = io.open("/dev/zero")
	add(io_.poll({ [0] = true, [1] = false }, { [2] = true }, 30))
	add(try(io_.poll, { x = true }))
	add(try(io_.poll, { [1.5] = true }))
	add(try(io_.poll, { [-1] = true }))
	add(try(io_.poll, { [9999] = true }))
	add(try(io_.poll, 5))
	add(try(io_.poll, nil, nil, "x"))
	add(try(io_.poll, nil, nil, 1e10))
	add(try(io_.poll, { [request.socket] = true }))
	add(try(io_.poll, { [io.stdout] = true }))
	p.stdin:finish()
	add(try(io_.poll, nil, { [p.stdin] = true }))
	add(io_.poll({ [p.stdin] = true }, nil, 0))
	p.stdin:close()
	add(try(io_.poll, { [p.stdin] = true }))
	p:wait()
	return table.concat(t, "\n")
end

-- While poll makes room for its sets, a finalizer adds to one of them.
function paths.poll_finalizer(request)
	local set = { [0] = true }
	local function grow()
		for i = 1, 20000 do set[1000000 + i] = true end
	end
	local function drop()
		if newproxy then
			getmetatable(newproxy(true)).__gc = grow
		else
			setmetatable({}, { __gc = grow })
		end
	end
	collectgarbage()
	collectgarbage("stop")
	for i = 1, 10 do drop() end
	collectgarbage("setstepmul", 0) -- LuaJIT: a step is a whole cycle
	collectgarbage("restart")
	local message = try(io_.poll, set, nil, 0)
	collectgarbage("setstepmul", 200)
	collectgarbage()
	-- Lua 5.4 may have run it later.
	return (message:match("poll: .*") or not newproxy) and "survived" or message
end

-- A raw connection can be waited for together with other things.
local function raw(socket)
	local wait = { [socket] = true }
	assert(not io_.poll(wait, nil, 0))
	socket:write("ready\n")
	socket:flush()
	assert(io_.poll(wait, nil, 30))
	socket:write(socket:read("*l"), "\n")
	assert(io_.poll(wait, nil, 0)) -- the second line is in the buffer
	socket:write(socket:read("*l"), "\n")
	assert(io_.poll(nil, wait, 30))
	socket:close()
	socket.message = try(io_.poll, wait)
	io.stderr:write(socket.message, "\n")
end

-- What the script itself has started belongs to it, and ends with it.
early = sh("exec cat")
print("top level", (io_.poll(nil, nil, 0, true)), early.stdout:read_nb())

listen{
	{ proto = "tcp4", port = 1, connect = http.generate_handler(function(request)
		local text = paths[request.path](request)
		request:send_status("200 OK")
		request:send_data(text)
	end) },
	{ proto = "tcp4", port = 2, connect = raw },
}
