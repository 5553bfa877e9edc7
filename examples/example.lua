-- A small application that shows what a moonbridge script can do. Start it from anywhere:
--
--     mbserve examples/example.lua [port]
--
-- The script runs once, from top to bottom. Then the server forks worker processes from the resulting state: each
-- worker has everything defined here, and answers one request at a time with plain, blocking Lua. Later changes in
-- a worker stay in that worker.

local http = require "moonbridge_http"
local moonbridge = require "moonbridge_shared"
local channel = require "moonbridge_channel"
local crypto = require "moonbridge_crypto"
local bit = require "bit" -- LuaJIT's bit operations
local ffi = require "ffi" -- LuaJIT's way to call C functions
local moon = require "example.moon" -- example/moon.lua: modules are searched for in the directory of the script

local port = tonumber(arg[1] or 8080) or error("the port must be a number, not " .. arg[1])
local origin = "http://127.0.0.1:" .. port


-- 1. Memory that all processes share ----------------------------------------------------------------------------------
--
-- Most applications keep shared data in a database. For counters, and for what may be lost, a dictionary is enough. It is opened
-- here, before the fork, and all workers have it. With keep, it survives a reload.

local shared = moonbridge.shared("example", "1M", { keep = true })

ffi.cdef[[
	int getpid(void);
	int poll(void *fds, unsigned long count, int milliseconds);
]]

local function sleep(seconds) ffi.C.poll(nil, 0, seconds * 1000) end
local function pid() return ffi.C.getpid() end

local served = 0 -- an ordinary variable: every worker counts its own requests


-- 2. Checksums --------------------------------------------------------------------------------------------------------

local crc_table = {}
for n = 0, 255 do
	local crc = n
	for _ = 1, 8 do
		crc = bit.bxor(bit.rshift(crc, 1), bit.band(crc, 1) == 1 and 0xedb88320 or 0)
	end
	crc_table[n] = crc
end

-- Continues a CRC-32 with more bytes. The initial value is -1; the checksum is the complement of the final value.
local function crc32(crc, bytes)
	for i = 1, #bytes do
		crc = bit.bxor(bit.rshift(crc, 8), crc_table[bit.band(bit.bxor(crc, bytes:byte(i)), 255)])
	end
	return crc
end

local function crc32_text(crc) return bit.tohex(bit.bnot(crc)) end


-- 3. Templates --------------------------------------------------------------------------------------------------------
--
-- They are read here, once. The workers share their memory. The path begins with that of the script, so the script can be
-- started from any directory.

local directory = (arg[0]:match("^.*/") or "") .. "example/"

local function read_file(name)
	local file = assert(io.open(directory .. name, "rb"))
	local content = file:read("*a")
	file:close()
	return content
end

local page_template, home_template, chat_template = read_file("page.html"), read_file("home.html"), read_file("chat.html")
local moon_template, almanac_template = read_file("moon.html"), read_file("almanac.html")

local entities = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

local function escape(text)
	return (tostring(text):gsub("[&<>\"']", entities))
end

-- {{name}} becomes values.name, escaped; {{=name}} becomes values.name unchanged, which must be HTML.
local function fill(template, values)
	return (template:gsub("{{(=?)([%w_]+)}}", function(html, name)
		local value = values[name]
		if value == nil then error("nothing to put in place of {{" .. name .. "}}") end
		return html == "=" and value or escape(value)
	end))
end


-- 4. Answering --------------------------------------------------------------------------------------------------------

-- Sends a complete response. extra: additional header fields, a sequence of {name, value}. For a HEAD request the server
-- sends the same head and drops the body.
local function respond(request, status, content_type, body, extra)
	request:send_status(status)
	request:send_header("Content-Type", content_type)
	for _, field in ipairs(extra or {}) do request:send_header(field[1], field[2]) end
	request:send_data(body)
	request:finish()
end

local function plural(count, noun) return count .. " " .. noun .. (count == 1 and "" or "s") end

-- Sends an HTML page: content is HTML.
local function respond_page(request, status, title, content, extra)
	respond(request, status, "text/html; charset=utf-8", fill(page_template, {
		title = title,
		content = content,
		pid = pid(),
		served = plural(served, "request"),
		sent = plural(shared:incr("pages", 1, 0) or 0, "page"),
		version = _MOONBRIDGE_VERSION,
	}), extra)
end

-- Sends a page that consists of a headline and a sentence.
local function respond_message(request, status, title, sentence, extra)
	respond_page(request, status, title, fill([[
<section class="hero low"><div class="words"><h1>{{title}}</h1><p>{{sentence}}</p></div></section>]],
		{ title = title, sentence = sentence }), extra)
end

local function redirect(request, location)
	respond(request, "303 See Other", "text/plain", "See " .. location .. "\n", { { "Location", location } })
end

-- The keys of a table in alphabetical order, since pairs() has no order.
local function sorted_keys(values)
	local keys = {}
	for key in pairs(values) do keys[#keys + 1] = key end
	table.sort(keys)
	return keys
end

-- An HTML table of a Lua table whose values are strings or sequences of strings.
local function html_table(values)
	local rows = {}
	for _, name in ipairs(sorted_keys(values)) do
		local value = values[name]
		for _, item in ipairs(type(value) == "table" and value or { value }) do
			rows[#rows + 1] = fill("<tr><th>{{name}}</th><td>{{item}}</td></tr>", { name = name, item = item })
		end
	end
	if #rows == 0 then return '<p class="hint">None.</p>' end
	return "<table>" .. table.concat(rows) .. "</table>"
end


-- 5. Pages ------------------------------------------------------------------------------------------------------------

-- Cookie values must not contain spaces, semicolons and the like, so they are encoded as in a URL.
local function encode(text)
	return (text:gsub("[^%w_.~-]", function(char) return ("%%%02X"):format(char:byte()) end))
end

local function decode(text)
	return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

local function cookie_table(cookies)
	local rows = {}
	for _, name in ipairs(sorted_keys(cookies)) do
		rows[#rows + 1] = fill([[<tr><th>{{name}}</th><td><form method="post" action="/cookies">]]
			.. [[<input type="hidden" name="name" value="{{name}}"><button name="forget" value="yes">Forget</button></form>]]
			.. [[{{value}}</td></tr>]], { name = name, value = decode(cookies[name]) })
	end
	if #rows == 0 then return '<p class="hint">The browser sent no cookie.</p>' end
	return "<table>" .. table.concat(rows) .. "</table>"
end

local function home(request)
	local ticks = shared:get("ticks") or 0
	respond_page(request, "200 OK", "Moonbridge", fill(home_template, {
		origin = origin,
		pid = pid(),
		ticks = ("%.0f"):format(ticks),
		ticks_unit = ticks == 1 and "tick" or "ticks",
		ticker = tostring(shared:get("ticker") or "…"),
		cookies = cookie_table(request.cookies),
	}))
end

-- Shows a request as the server sees it. Cookies may be secret, and the query may come from an attacker. Compression could
-- reveal the one with the help of the other (see BREACH in the manual), so no-transform excludes this page from it.
local function mirror(request)
	local sections = {
		{ "Request line", { method = request.method, path = request.path, query = request.query } },
		{ "get_params_list", request.get_params_list },
		{ "post_params_list", request.post_params_list },
		{ "cookies", request.cookies },
		{ "headers", request.headers },
	}
	local cards = {}
	for i, section in ipairs(sections) do
		cards[i] = fill('<section class="card wide"><h2>{{title}}</h2>{{=rows}}</section>',
			{ title = section[1], rows = html_table(section[2]) })
	end
	respond_page(request, "200 OK", "Your request", [[
<section class="hero low"><div class="words"><h1>Your request</h1>
<p>As the handler saw it, with the names that the fields have in the request object.</p></div></section>
<main class="cards">]] .. table.concat(cards) .. "</main>", { { "Cache-Control", "no-store, no-transform" } })
end

local function clock(request)
	respond(request, "200 OK", "application/json",
		('{"ticks":%.0f,"ticker":%.0f,"pid":%d}\n'):format(shared:get("ticks") or 0, shared:get("ticker") or 0, pid()),
		{ { "Cache-Control", "no-store" } })
end

local function set_cookie(request)
	local form = request.post_params
	local name, value = form.name or "", form.value or ""
	if #name > 64 or not name:find("^[%w_-]+$") or #value > 500 then
		return respond_message(request, "400 Bad Request", "Invalid cookie",
			"The name consists of 1 to 64 letters, digits, _ and -; the value has at most 500 bytes.")
	end
	local age = form.forget and 0 or 24 * 60 * 60
	request:send_status("303 See Other")
	request:send_header("Location", "/#cookies")
	request:send_header("Set-Cookie",
		("%s=%s; Path=/; Max-Age=%d; HttpOnly; SameSite=Lax"):format(name, encode(value), age))
	request:finish()
end

-- Reads a file of any size up to request_body_size_limit, one piece at a time.
local function upload(request)
	local bytes, pieces, crc = 0, 0, -1
	request:stream_request_body(function(piece)
		bytes, pieces, crc = bytes + #piece, pieces + 1, crc32(crc, piece)
	end)
	respond(request, "200 OK", "application/json",
		('{"bytes":%.0f,"pieces":%d,"crc32":"%s","pid":%d}\n'):format(bytes, pieces, crc32_text(crc), pid()))
end

-- A response in parts: flush() sends the data so far, then the handler continues.
local function stream(request)
	request:send_status("200 OK")
	request:send_header("Content-Type", "text/plain; charset=utf-8")
	request:send_header("Cache-Control", "no-store")
	if request.method ~= "HEAD" then
		for i = 1, 20 do
			request:send_data(i, "\n")
			request:flush()
			sleep(0.15)
		end
	end
	request:finish()
end

-- A slow page. The server keeps it for ten seconds. For another minute it answers with the old page at once, and calls this
-- function for a new one.
local function moon_now(request)
	sleep(1) -- stands for a slow query
	local now = os.time()
	local name, age, lit = moon.phase(now)
	respond_page(request, "200 OK", "The Moon", fill(moon_template, {
		picture = moon.picture(now, name),
		name = name,
		lit = ("%.0f %%"):format(100 * lit),
		age = ("%.1f days"):format(age),
		made = os.date("%H:%M:%S", now),
	}), { { "Cache-Control", "s-maxage=10, stale-while-revalidate=60" } })
end

-- A large page that seldom changes. The browser keeps it, and asks each time whether it is still current.
local loaded = os.time()

local function almanac(request)
	local year = os.date("%Y")
	local etag = ('W/"%s-%d"'):format(year, loaded) -- another one next year, and after each change of the script
	if request:not_modified{ etag = etag } then return end
	respond_page(request, "200 OK", "The Moon in " .. year, fill(almanac_template, { year = year, rows = moon.almanac(year) }),
		{ { "ETag", etag }, { "Cache-Control", "no-cache" } })
end

-- A download. The server sends the file while the worker is already free for other requests.
local function download(request)
	request:send_file(arg[0], { download = "example.lua" })
end


-- 6. A chat -----------------------------------------------------------------------------------------------------------
--
-- A visitor who has chosen a name may write. The browser keeps the name in a cookie, which is signed so that it cannot be forged.
-- Each message goes to all browsers at once, over streams that need no worker. A browser that loses its stream continues where it was.

channel.declare("chat", { history = { messages = 100, seconds = 24 * 60 * 60 } })
channel.declare("chart", { history = { messages = 60, seconds = 120 } })

local secret = crypto.secret("chat") -- the same in all workers, and after a reload

local function signature(name)
	return (crypto.hmac_sha256(secret, name):gsub(".", function(char) return ("%02x"):format(char:byte()) end))
end

-- The name of the visitor, or nil.
local function user(request)
	local name, signed = (request.cookies.chat or ""):match("^([%w_-]+)%.(%x+)$")
	if name and crypto.equal(signed, signature(name)) then return name end
end

local function chat(request)
	local name = user(request)
	respond_page(request, "200 OK", "Chat", fill(chat_template, {
		name = name or "",
		nameless = name and "hidden" or "",
		named = name and "" or "hidden",
	}), { { "Cache-Control", "no-store" } })
end

local function chat_name(request)
	local name = request.post_params.name or ""
	if #name > 20 or not name:find("^[%w_-]+$") then
		return respond_message(request, "400 Bad Request", "Invalid name", "A name consists of 1 to 20 letters, digits, _ and -.")
	end
	request:send_status("303 See Other")
	request:send_header("Location", "/chat")
	request:send_header("Set-Cookie", ("chat=%s.%s; Path=/; HttpOnly; SameSite=Lax"):format(name, signature(name)))
	request:finish()
end

local function chat_say(request)
	local name, text = user(request), request.post_params.text or ""
	if not name then return respond(request, "403 Forbidden", "text/plain", "Who are you?\n") end
	if #text == 0 or #text > 500 or text:find("%c") then
		return respond(request, "400 Bad Request", "text/plain", "A message is a line of 1 to 500 bytes.\n")
	end
	channel.publish("chat", name .. "\n" .. text)
	respond(request, "200 OK", "text/plain", "said\n")
end

-- The two streams of the page. When a browser connects again, it says which message it had last; a new one gets all that there are.
local function subscribe(name)
	return function(request)
		request:subscribe{ channels = name, last_id = request.headers_value["Last-Event-ID"] or "0", retry = 0.5, keepalive = 15 }
	end
end


-- 7. Routes -----------------------------------------------------------------------------------------------------------

-- By path, which has no leading slash, and by method.
local routes = {
	[""] = { GET = home },
	almanac = { GET = almanac },
	chart = { GET = subscribe("chart") },
	chat = { GET = chat, POST = chat_say },
	["chat/events"] = { GET = subscribe("chat") },
	["chat/name"] = { POST = chat_name },
	clock = { GET = clock },
	cookies = { POST = set_cookie },
	["example.lua"] = { GET = download },
	moon = { GET = moon_now },
	request = { GET = mirror, POST = mirror },
	stream = { GET = stream },
	upload = { POST = upload, PUT = upload },
}

for _, methods in pairs(routes) do
	methods.HEAD = methods.GET -- the GET handler also answers HEAD
end

local function handle(request)
	served = served + 1
	local methods = routes[request.path or ""] -- path is nil for "OPTIONS *"
	if not methods then
		return respond_message(request, "404 Not Found", "The moon is there, the page is not",
			"Nothing here answers to /" .. request.path)
	end
	local answer = methods[request.method]
	if answer then return answer(request) end
	local allow = table.concat(sorted_keys(methods), ", ")
	respond_message(request, "405 Method Not Allowed", "Not that way",
		request.method .. " is no method for this page, but these are: " .. allow, { { "Allow", allow } })
end


-- 8. Listeners -------------------------------------------------------------------------------------------------------

-- The web site: a pool of at least two workers, and up to 16 if all are busy. The server itself sends the files in
-- example/public. Browsers keep them, and ask each time whether they are still current.
listen{
	{ proto = "tcp4", port = port, localhost = true },
	min_fork = 2,
	max_fork = 16,
	static = { ["/assets/"] = { directory .. "public", max_age = 0, listing = true } },
	connect = http.generate_handler(handle, {
		request_body_size_limit = 256 * 1024 * 1024,
		compress = true,
		cache = { request_directives = false }, -- a page says itself whether it may be kept; a reload in a browser does not count
		static_headers = {
			["Content-Security-Policy"] = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
				.. "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
			["X-Content-Type-Options"] = "nosniff",
			["Referrer-Policy"] = "same-origin",
		},
	}),
}

-- The timer: a separate pool with a single worker, which wakes up once a second. It also publishes a point of the chart: the time,
-- how many pages were sent since the last one, and how many windows follow the chat.
local pages_before

listen{
	{ proto = "interval", name = "clock", delay = 1, strict = true },
	min_fork = 1,
	max_fork = 1,
	connect = function(socket)
		if socket.interval == "clock" then
			shared:incr("ticks", 1, 0)
			shared:set("ticker", pid())
			local pages = shared:get("pages") or 0
			channel.publish("chart", ("%d %d %d"):format(os.time(), pages - (pages_before or pages), channel.count("chat")))
			pages_before = pages
		end
	end,
}
