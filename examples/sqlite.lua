-- A guest book in an SQLite database: all workers use the same file, each through its own connection.
-- It needs the module lua-sql-sqlite3 (on Debian and Ubuntu: apt-get install lua-sql-sqlite3). Try it:
--
--     mbserve examples/sqlite.lua [port [file]]        # the file is guestbook.sqlite if none is given
--
-- Then open http://127.0.0.1:8080/ in a browser, or:
--
--     curl -i -d name=Luna --data-urlencode "message=It's nice & quiet up here" http://127.0.0.1:8080/
--     curl http://127.0.0.1:8080/
--     sqlite3 guestbook.sqlite 'SELECT * FROM entry'
local http = require "moonbridge_http"
local sqlite = require "luasql.sqlite3"

local port = tonumber(arg[1] or 8080) or error("the port must be a number, not " .. arg[1])
local file = arg[2] or "guestbook.sqlite"

local NAME_MAX, MESSAGE_MAX = 60, 1000 -- characters
local BYTES = 4 -- largest size of a character in UTF-8
local SHOWN = 50 -- entries on the page


-- The database ------------------------------------------------------------------------------------------------------------

-- Only one process at a time can write to an SQLite file. The others wait, at most for this long.
local BUSY_TIMEOUT = 5000 -- milliseconds

local environment, db

local function open()
	environment = sqlite.sqlite3()
	db = assert(environment:connect(file, BUSY_TIMEOUT))
end

local function close()
	db:close()
	environment:close()
end

-- All data from clients goes through this function before it becomes part of an SQL command.
local function quote(text)
	return "'" .. db:escape(text) .. "'"
end

-- Runs a query and returns its rows, a sequence of tables.
local function rows(sql)
	local cursor, list = assert(db:execute(sql)), {}
	local row = cursor:fetch({}, "a")
	while row do
		list[#list + 1] = row
		row = cursor:fetch({}, "a")
	end
	cursor:close()
	return list
end

-- The table is created here, once, before there are workers, so an unusable file is noticed at start. The
-- connection is closed again: an SQLite connection must not be used across a fork.
open()
assert(db:execute("PRAGMA journal_mode = WAL")):close() -- readers need not wait for the writer
assert(db:execute[[
	CREATE TABLE IF NOT EXISTS entry (
		id INTEGER PRIMARY KEY,
		time TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
		name TEXT NOT NULL,
		message TEXT NOT NULL
	)]])
close()


-- The page ------------------------------------------------------------------------------------------------------------------

local STYLE = [[
:root { color-scheme: light dark; --ground: #f4f3ef; --card: #fff; --edge: #e2dfd6; --ink: #1b2038; --soft: #5d6380;
	--accent: #3f4bb0; --on-accent: #fff }
@media (prefers-color-scheme: dark) { :root { --ground: #0d1124; --card: #161b34; --edge: #2a3054; --ink: #e8e9f4;
	--soft: #a0a6c8; --accent: #f0cd83; --on-accent: #1b1a2c } }
* { box-sizing: border-box }
body { max-width: 42rem; margin: 0 auto; padding: 2.5rem 1.2rem; background: var(--ground); color: var(--ink);
	font: 1rem/1.55 system-ui, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif }
h1 { margin: 0 0 1.2rem; font-size: 2rem; line-height: 1.2 }
form, article { margin-bottom: 1rem; padding: 1.2rem 1.4rem; background: var(--card); border: 1px solid var(--edge);
	border-radius: .9rem }
form { display: grid; gap: .8rem; margin-bottom: 2rem }
label { display: grid; gap: .25rem; font-size: .9rem; color: var(--soft) }
input, textarea { padding: .5rem .7rem; font: inherit; font-size: 1rem; color: var(--ink); background: var(--ground);
	border: 1px solid var(--edge); border-radius: .5rem; resize: vertical }
button { justify-self: start; padding: .5rem 1.15rem; font: inherit; font-weight: 600; color: var(--on-accent);
	background: var(--accent); border: 0; border-radius: .5rem; cursor: pointer }
article p { margin: .3rem 0 0; white-space: pre-wrap; overflow-wrap: anywhere }
header { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 1rem }
header b { overflow-wrap: anywhere }
.soft, time { color: var(--soft); font-size: .9rem }
]]

local entities = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

local function escape(text)
	return (tostring(text):gsub("[&<>\"']", entities))
end

local function send_page(request, status, content)
	request:send_status(status)
	request:send_header("Content-Type", "text/html; charset=utf-8")
	request:send_data([[<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Guest book</title>
<style>]], STYLE, [[</style>
</head>
<body>
<h1>Guest book</h1>
]], content, [[
</body>
</html>
]])
	request:finish()
end

local function show(request)
	local html = { ([[
<form method="post" action="/">
<label>Your name <input name="name" required maxlength="%d"></label>
<label>Your message <textarea name="message" rows="3" required maxlength="%d"></textarea></label>
<button>Sign the book</button>
</form>
]]):format(NAME_MAX, MESSAGE_MAX) }
	for _, entry in ipairs(rows("SELECT time, name, message FROM entry ORDER BY id DESC LIMIT " .. SHOWN)) do
		html[#html + 1] = ("<article><header><b>%s</b> <time>%s UTC</time></header><p>%s</p></article>\n"):format(
			escape(entry.name), escape(entry.time), escape(entry.message))
	end
	local total = tonumber(rows("SELECT count(*) AS total FROM entry")[1].total)
	html[#html + 1] = ('<p class="soft">%d %s%s</p>'):format(total, total == 1 and "entry" or "entries",
		total > SHOWN and ", the last " .. SHOWN .. " are shown" or "")
	send_page(request, "200 OK", table.concat(html))
end

local function sign(request)
	local name, message = request.post_params.name or "", request.post_params.message or ""
	if name == "" or #name > NAME_MAX * BYTES or message == "" or #message > MESSAGE_MAX * BYTES then
		return send_page(request, "422 Unprocessable Content", ([[<p>A name of 1 to %d characters and a message of 1 to %d are needed. <a href="/">Try again</a></p>
]]):format(NAME_MAX, MESSAGE_MAX))
	end
	assert(db:execute("INSERT INTO entry (name, message) VALUES (" .. quote(name) .. ", " .. quote(message) .. ")"))
	-- The browser is redirected to the page, so that a reload does not add the entry again.
	request:send_status("303 See Other")
	request:send_header("Location", "/")
	request:finish()
end

local function handle(request)
	if request.path ~= "" then return send_page(request, "404 Not Found", '<p>There is only <a href="/">one page</a>.</p>') end
	if request.method == "GET" or request.method == "HEAD" then return show(request) end
	if request.method == "POST" then return sign(request) end
	request:send_status("405 Method Not Allowed")
	request:send_header("Allow", "GET, HEAD, POST")
	request:finish()
end

listen{
	{ proto = "tcp4", port = port, localhost = true },
	min_fork = 2,
	max_fork = 8,
	prepare = open, -- in each worker, before its first request
	finish = close, -- in each worker, before it ends
	connect = http.generate_handler(handle, {
		request_body_size_limit = 64 * 1024,
		static_headers = {
			["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'",
		},
	}),
}
