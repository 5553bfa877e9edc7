-- Runs unchanged with LuaJIT and Lua 5.4. One response a path.
local http = require "moonbridge_http"

local cases = {}

-- The methods of a request work from inside a coroutine, and coroutines go on between them.
function cases.wrap(r)
	local write = coroutine.wrap(function(first)
		r:send_status("200 OK")
		r:send_header("X-From", r.method)
		while first do
			r:send_data(first, ";")
			r:flush()
			first = coroutine.yield(r.headers_value.host)
		end
		r:finish()
	end)
	write(write("one") .. write("two"))
	write(nil)
end

-- The body comes as an iterator: its reader is a coroutine that ends with the last piece.
function cases.body(r)
	local inner = coroutine.create(function()
		local text = r.body
		for i = 1, #text, 2 do coroutine.yield(text:sub(i, i + 1)) end
	end)
	r:send_status("200 OK")
	while true do
		local ok, piece = coroutine.resume(inner)
		if not ok then error(piece) end
		if not piece then break end
		r:send_data(piece, "|")
	end
	r:send_data(coroutine.status(inner))
end

-- A form and the headers, read in one coroutine, are there in another.
function cases.form(r)
	local a = coroutine.wrap(function() return r.post_params.a, r.get_params.b end)()
	local b = coroutine.wrap(function() return r.post_params_list.a[2] .. r.headers.x[1] end)()
	r:send_status("200 OK")
	r:send_data(a, b)
end

-- stream_request_body may be called in a coroutine. Its callback cannot yield across it, which is an error like others.
function cases.stream(r)
	local size = 0
	local ok, message = coroutine.wrap(function()
		return pcall(r.stream_request_body, r, function(piece)
			size = size + #piece
			coroutine.yield()
		end)
	end)()
	r:send_status("200 OK")
	r:send_data(size, " ", ok, " ", (tostring(message):match("attempt to yield")))
end

-- Errors pass through a coroutine, with their object or their place.
function cases.errors(r)
	local object = setmetatable({}, { __tostring = function() return "object" end })
	local function try(f) return select(2, pcall(coroutine.wrap(f))) end
	r:send_status("200 OK")
	r:send_data(try(function() error(object) end) == object, " ")
	r:send_data((try(function() r:send_status("200 OK") end):gsub("^.*lua:%d+: ", "")), " ")
	r:send_data((try(function() r.send_data() end):gsub("^.*lua:%d+: ", "")), " ", object)
end

function cases.uncaught(r)
	coroutine.wrap(function() r:send_status() end)()
end

-- What the versions call or place differently.
function cases.library(r)
	local t = table.pack(table.unpack({ 1, nil, 3 }, 1, 3))
	r:send_status(200)
	r:send_header("X-Number", 5)
	r:send_data(t.n, rawlen(t) >= 1 and "+" or "-", rawlen("four"), " ")
	for i = 1, 3 do
		if i == 2 then goto continue end
		r:send_data(i)
		::continue::
	end
	r:send_data(" ", #r.path, " ", ("%d"):format(#r.path / 1), " ", math.floor(7 / 2), " ", 2^53 == 9007199254740992)
end

-- Quotients are whole, and taken as such.
function cases.whole(r)
	r:send_status(400 / 2)
	r:send_header("Content-Length", 20 / 2)
	r:send_header("X-Number", 7 / 1)
	r:send_header("X-Part", 1.5)
	r:send_data("0123456789")
end

-- Files of io are written to and read from while the response is on its way.
function cases.file(r)
	local f = assert(io.tmpfile())
	f:write("a", 1, "\n", r.path)
	f:seek("set")
	r:send_status("200 OK")
	for line in f:lines() do r:send_data("[", line, "]") end
	f:close()
	r:send_data(io.type(f))
end

listen{
	{ proto = "tcp4", port = 16160 / 2, localhost = true },
	pre_fork = 2 / 2, exit_delay = 60.0, fork_delay = 1.5,
	connect = http.generate_handler({ maximum_input_chunk_size = 2048 / 2, idle_timeout = 5.0 }, function(request)
		return cases[request.path](request)
	end),
}
