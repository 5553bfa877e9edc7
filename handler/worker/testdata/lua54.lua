-- What only Lua 5.4 has. One response a path.
local http <const> = require "moonbridge_http"

local cases = {}

-- Integers and floats are shown as Lua shows them, and are told apart.
function cases.numbers(r)
	r:send_data(80, " ", 80.0, " ", 7 // 2, " ", 7 / 2, " ", 2^53 | 0, " ", math.maxinteger, " ", 1 << 62)
end

function cases.counts(r)
	r:send_data(math.type(#r.body), " ", math.type(#r.headers.host), " ", r.get_params.n + 1, " ",
		math.type(math.tointeger(r.get_params.n)), " ", table.pack(1, 2).n, " ", rawlen(r.get_params_list.n))
end

function cases.no_integer(r)
	r:send_data((select(2, pcall(function() return 1.5 | 0 end)):gsub("^.*lua:%d+: ", "")))
end

function cases.part_of_a_status(r) r:send_status(200.5) end

function cases.environment(r)
	local f <const> = assert(load("answer = 6 * 7 return answer, _ENV", "chunk", "t", { }))
	local value, env = f()
	local function within(_ENV) return name end
	r:send_data(value, " ", env.answer, " ", answer, " ", within{ name = "within" })
end

-- Iteration of an application's table; those of the request have real keys.
function cases.pairs(r)
	local proxy <const> = setmetatable({}, { __pairs = function()
		return function(_, k) if (k or 0) < 3 then return (k or 0) + 1, "v" end end, nil, nil
	end })
	local n = 0
	for k, v in pairs(proxy) do r:send_data(k, v, " ") end
	for _ in pairs(r.headers_value) do n = n + 1 end
	r:send_data(n)
end

function cases.finalizer(r)
	local done
	setmetatable({}, { __gc = function() done = r.path end })
	collectgarbage()
	r:send_data(done)
end

-- The collector is as Lua starts it; a script may choose the other one, even for objects that the request creates.
function cases.collector(r)
	r:send_data(collectgarbage("generational"), " ")
	for _ = 1, 100 do
		for i = 1, 100 do local t <const> = { r.headers, tostring(i) } end
		collectgarbage("step")
	end
	r:send_data(r.headers.host[1], " ", collectgarbage("incremental"))
end

function cases.name(r)
	r:send_data(setmetatable({}, { __name = "Point" }))
end

-- What is to be closed is closed where the error passes, when the request can still be used.
function cases.close(r)
	local function opened(name)
		return setmetatable({}, { __close = function(_, e) r:send_data(name, e and "!" or "", " ") end })
	end
	local ok, e = pcall(function()
		local outer <close> = opened "outer"
		do local inner <close> = opened "inner" end
		r:send_status("500 Again")
	end)
	local co = coroutine.wrap(function()
		local file <close> = assert(io.tmpfile())
		local own <close> = opened "coroutine"
		coroutine.yield(file)
	end)
	local file = co()
	local thread = coroutine.create(function()
		local own <close> = opened "thread"
		coroutine.yield()
	end)
	coroutine.resume(thread)
	coroutine.close(thread)
	for _ in next, {}, nil, opened "loop" do end
	co()
	r:send_data(ok, " ", e:match("send_status: .*"), " ", io.type(file))
end

function cases.close_at_error(r)
	local own <close> = setmetatable({}, { __close = function() io.stderr:write("closed\n") end })
	r:send_data("not sent")
	error({})
end

function cases.utf8(r) r:send_data(utf8.char(0xfc), " ", utf8.len("\u{fc}x")) end

-- Long strings are not shared: a name that is computed finds its field all the same, and one that is too long finds none.
function cases.keys(r)
	local parts <const> = { "me", "th", "od" }
	r:send_data(r[table.concat(parts)], " ", r["headers_value"]["ho" .. "st"], " ", r[("method"):rep(100)], " ", r["method\0"],
		" ", r[("x"):rep(41)])
	r[("x"):rep(41)] = "own"
	r:send_data(" ", r[("x"):rep(41)])
end

function cases.warning(r)
	warn("@on")
	warn("a ", "warning")
	r:send_data("warned")
end

-- cjson knows one kind of number: whole ones are written without a point, and all that it reads are floats.
function cases.json(r)
	local found <const>, json <const> = pcall(require, "cjson")
	if not found then return r:send_data("missing") end
	local five <const> = json.decode("[5]")[1]
	r:send_data(json.encode{ 80, 80.0, 7 // 2, 2.5, #r.path }, " ", math.type(five), " ", math.tointeger(five))
end

function cases.exit(r)
	exiting = setmetatable({}, { __close = function() end, __gc = function() io.stderr:write("state closed\n") end })
	os.exit(7, true)
end

-- A raw connection: its handles are those of this Lua, and can be to be closed.
local function raw(socket)
	local name <const> = socket:read("l")
	do
		local output <close> = socket.output
		output:write(name, " ", math.type(socket.remote_tcpport), " ", 80 // 1, "\n")
	end
	socket.mine = rawlen("four") // 1
	io.stderr:write("then ", socket.input:readuntil(";", 4.0), " ", tostring(socket:readuntil(";", 1 << 40)), " ",
		socket.mine, " ", io.type(socket.output), " ", io.type(socket.input), "\n")
end

listen{
	{ proto = "tcp4", port = 8080.0, localhost = true },
	{ proto = "tcp4", port = 8081, connect = raw },
	pre_fork = 4 // 2, max_fork = 1 << 3,
	connect = http.generate_handler(function(request)
		if request.path ~= "part_of_a_status" then request:send_status("200 OK") end
		return cases[request.path](request)
	end, { chunk_size = 1 << 12, idle_timeout = 1 / 2 }),
}
