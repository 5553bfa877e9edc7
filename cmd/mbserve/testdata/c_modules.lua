-- C modules in handlers: /name runs one, with the arguments of the query. arg[1]: a directory for files.
local http = require "moonbridge_http"

local directory = arg[1]
local cases = {}

function cases.cjson(p)
	local cjson = require "cjson"
	local value = cjson.decode(p.json)
	value.list[#value.list + 1] = cjson.null
	value.pi = 3.25
	return cjson.encode(value.list) .. cjson.encode(value.name) .. cjson.encode{ pi = value.pi }
end

function cases.cjson_error(p)
	local ok, message = pcall(require("cjson").decode, p.json)
	return tostring(ok) .. " " .. message
end

-- A grammar with captures that call Lua: sums.
function cases.lpeg(p)
	local lpeg = require "lpeg"
	local number = lpeg.R"09"^1 / tonumber
	local sum = lpeg.Cf(number * (lpeg.P"+" * number)^0, function(a, b) return a + b end) * -1
	return tostring(sum:match(p.sum))
end

function cases.lpeg_re(p)
	return table.concat(require("re").compile[[ {| ({ %w+ } / .)* |} ]]:match(p.text), ",")
end

function cases.lfs(p)
	local lfs = require "lfs"
	assert(lfs.mkdir(directory .. "/" .. p.name))
	local file = assert(io.open(directory .. "/" .. p.name .. "/file", "w"))
	file:write(("x"):rep(1234))
	file:close()
	local names = {}
	for name in lfs.dir(directory .. "/" .. p.name) do names[#names + 1] = name end
	table.sort(names)
	local attributes = assert(lfs.attributes(directory .. "/" .. p.name .. "/file"))
	return table.concat(names, " ") .. " " .. attributes.mode .. " " .. attributes.size
end

-- A pipe, a child and its exit status: these depend on signals and descriptors.
function cases.posix()
	local unistd, wait = require "posix.unistd", require "posix.sys.wait"
	local reader, writer = unistd.pipe()
	local pid = assert(unistd.fork())
	if pid == 0 then
		unistd.write(writer, "from " .. unistd.getpid())
		unistd._exit(7)
	end
	unistd.close(writer)
	local text = unistd.read(reader, 100)
	unistd.close(reader)
	local ended, how, code = wait.wait(pid)
	return tostring(text == "from " .. pid and ended == pid) .. " " .. how .. " " .. code
end

function cases.posix_stat()
	local stat = require("posix.sys.stat").stat(directory)
	return tostring(require("posix.sys.stat").S_ISDIR(stat.st_mode) ~= 0)
end

function cases.sqlite(p)
	local environment = require("luasql.sqlite3").sqlite3()
	local db = assert(environment:connect(directory .. "/db", 5000))
	assert(db:execute("CREATE TABLE IF NOT EXISTS word (word TEXT)"))
	assert(db:execute("INSERT INTO word VALUES ('" .. db:escape(p.word) .. "')"))
	local cursor = assert(db:execute("SELECT count(*), max(word) FROM word"))
	local count, word = cursor:fetch()
	cursor:close()
	local wrong, message = db:execute("SELEKT")
	db:close()
	environment:close()
	return ("%d %s %s %s"):format(count, word, tostring(wrong), message)
end

-- Sends an HTTP request to a server at p.port.
function cases.socket(p)
	local client = assert(require("socket").connect("127.0.0.1", p.port))
	client:settimeout(30)
	assert(client:send("GET / HTTP/1.0\r\n\r\n"))
	local line = assert(client:receive("*l"))
	client:close()
	return line
end

function cases.socket_http(p)
	local sink = {}
	local _, code, headers = require("socket.http").request{ url = "http://127.0.0.1:" .. p.port .. "/",
		sink = require("ltn12").sink.table(sink) }
	return code .. " " .. headers["x-test"] .. " " .. table.concat(sink)
end

function cases.socket_mime(p) return (require("mime").b64(p.text)) end

-- Waits for an answer that never comes, then sleeps for a moment.
function cases.socket_wait(p)
	local socket = require "socket"
	local client = assert(socket.connect("127.0.0.1", p.port))
	io.stderr:write("connected\n")
	client:settimeout(30)
	local _, message = client:receive("*l")
	client:close()
	socket.sleep(0.01)
	return message
end

function cases.socket_timeout(p)
	local client = assert(require("socket").connect("127.0.0.1", p.port))
	client:settimeout(0.05)
	local _, message = client:receive("*l")
	client:close()
	return message
end

function cases.redis(p)
	local client = require("redis").connect("127.0.0.1", tonumber(p.port))
	local pong = client:ping()
	client:set("moon", "full\r\nor not")
	client:incr("count")
	local count = client:incr("count")
	local replies = client:pipeline(function(pipe)
		pipe:rpush("list", "a")
		pipe:rpush("list", "b")
	end)
	local list = client:lrange("list", 0, -1)
	local ok, message = pcall(client.incr, client, "moon")
	local moon, none = client:get("moon"), client:get("none")
	client:quit()
	return table.concat({ tostring(pong), moon, tostring(none), count, #replies, table.concat(list, "+"), tostring(ok),
		message:match("not an integer") or message }, " ")
end

function cases.hello() return "hello" end

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	min_fork = 4,
	max_fork = 8,
	connect = http.generate_handler(function(request)
		local text = cases[request.path](request.get_params)
		request:send_status("200 OK")
		request:send_header("Content-Type", "text/plain")
		request:send_data(text)
		request:finish()
	end),
}
