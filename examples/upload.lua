-- Accepts files of any size from a form, several at a time, and answers with their names, types, sizes and SHA-256 hashes.
--
--     mbserve examples/upload.lua [port]
--
-- Then open http://127.0.0.1:8080/ in a browser, or:
--
--     curl -F file=@README.md -F file=@LICENSE -F 'comment=Two files' http://127.0.0.1:8080/
--     curl -F file=@README.md http://127.0.0.1:8080/ | sha256sum -c
--
-- No file is ever completely in memory, or on disk: request:stream_post_params calls a function for each piece. While it
-- processes a piece, the client can send only a bounded amount ahead.
local http = require "moonbridge_http"
local sha256 = require "sha256" -- in this directory

local port = tonumber(arg[1] or 8080) or error("the port must be a number, not " .. arg[1])

local SHOWN = 500 -- fields of one form that are listed; nothing is kept of the others
local SIZE_LIMIT = 8 * 1024 ^ 3 -- bytes of a complete form

local STYLE = [[
:root { color-scheme: light dark; --ground: #f4f3ef; --card: #fff; --edge: #e2dfd6; --ink: #1b2038; --soft: #5d6380;
	--accent: #3f4bb0; --on-accent: #fff; --code: #efede6 }
@media (prefers-color-scheme: dark) { :root { --ground: #0d1124; --card: #161b34; --edge: #2a3054; --ink: #e8e9f4;
	--soft: #a0a6c8; --accent: #f0cd83; --on-accent: #1b1a2c; --code: #242a4c } }
* { box-sizing: border-box }
body { max-width: 62rem; margin: 0 auto; padding: 2.5rem 1.2rem; background: var(--ground); color: var(--ink);
	font: 1rem/1.55 system-ui, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif }
h1 { margin: 0 0 1.2rem; font-size: 2rem; line-height: 1.2 }
a { color: var(--accent) }
form, section { margin-bottom: 1.5rem; padding: 1.3rem 1.5rem; background: var(--card); border: 1px solid var(--edge);
	border-radius: .9rem; overflow-x: auto }
form { display: grid; gap: 1rem; max-width: 36rem }
label { display: grid; gap: .25rem; font-size: .9rem; color: var(--soft) }
input { width: 100%; padding: .5rem .7rem; font: inherit; font-size: 1rem; color: var(--ink); background: var(--ground);
	border: 1px solid var(--edge); border-radius: .5rem }
input::file-selector-button { margin-right: .8rem; padding: .3rem .7rem; font: inherit; color: var(--ink);
	background: var(--code); border: 0; border-radius: .35rem }
button { justify-self: start; padding: .5rem 1.15rem; font: inherit; font-weight: 600; color: var(--on-accent);
	background: var(--accent); border: 0; border-radius: .5rem; cursor: pointer }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px }
table { width: 100%; border-collapse: collapse; font-size: .95rem }
th, td { padding: .55rem 1.2rem .55rem 0; text-align: left; vertical-align: top; border-top: 1px solid var(--edge) }
th { border-top: 0; font-weight: 500; color: var(--soft) }
th:last-child, td:last-child { padding-right: 0 }
td { max-width: 20rem; overflow-wrap: break-word }
.size { white-space: nowrap; text-align: right; font-variant-numeric: tabular-nums }
code { display: block; width: 32ch; word-break: break-all;
	font: .85rem/1.5 ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace }
.soft { color: var(--soft) }
]]

local FORM = [[
<form method="post" action="/" enctype="multipart/form-data">
<label>Files <input type="file" name="file" multiple required></label>
<label>Comment, if you like <input name="comment"></label>
<button>Send</button>
</form>
]]

local entities = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

-- The client chooses names and types: they may be anything.
local function escape(text)
	return (tostring(text):gsub("[&<>\"']", entities))
end

local function send_page(request, status, title, content)
	request:send_status(status)
	request:send_header("Content-Type", "text/html; charset=utf-8")
	request:send_data('<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
		'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>', escape(title), "</title>\n<style>", STYLE,
		"</style>\n</head>\n<body>\n<h1>", escape(title), "</h1>\n", content, "</body>\n</html>\n")
	request:finish()
end

local function readable(bytes)
	if bytes < 1000 then return bytes .. (bytes == 1 and " byte" or " bytes") end
	for _, unit in ipairs{ "kB", "MB", "GB" } do
		bytes = bytes / 1000
		if bytes < 999.5 or unit == "GB" then return ("%.3g %s"):format(bytes, unit) end
	end
end

-- Reads the whole form. Returns a sequence of tables that describe its fields, and the total number of fields.
local function receive(request)
	local fields, count, field = {}, 0, nil
	request:stream_post_params("", function(piece, metadata) -- the empty pattern matches every name
		if metadata then -- the first piece of a field
			field = { name = metadata.field_name, file = metadata.file_name, type = metadata.content_type, size = 0,
				hash = sha256.new() }
		end
		if piece then
			field.size = field.size + #piece
			field.hash:update(piece)
		elseif field.file ~= "" or field.size > 0 then -- its end. If no file is chosen, browsers send one without a name
			count = count + 1
			field.sha256, field.hash = field.hash:hex(), nil
			if count <= SHOWN then fields[count] = field end
		end
	end)
	request:process_request_body() -- calls the function above
	return fields, count
end

local function send_table(request, fields, count)
	local rows = {}
	for i, field in ipairs(fields) do
		rows[i] = ('<tr><td>%s</td><td>%s</td><td>%s</td><td class="size">%s</td><td><code>%s</code></td></tr>\n'):format(
			escape(field.name), field.file and escape(field.file) or '<span class="soft">no file</span>',
			escape(field.type or "–"), readable(field.size), field.sha256)
	end
	local more = count > #fields and ('<p class="soft">… and %d more.</p>'):format(count - #fields) or ""
	send_page(request, "200 OK", "Received", [[
<section><table>
<tr><th>Field</th><th>File</th><th>Type</th><th class="size">Size</th><th>SHA-256</th></tr>
]] .. table.concat(rows) .. "</table>" .. more .. '</section>\n<p><a href="/">Send more</a></p>\n')
end

-- The same for programs, in the format of sha256sum.
local function send_sums(request, fields)
	request:send_status("200 OK")
	request:send_header("Content-Type", "text/plain; charset=utf-8")
	for _, field in ipairs(fields) do
		if field.file then request:send_data(field.sha256, "  ", (field.file:gsub("%c", "?")), "\n") end
	end
	request:finish()
end

local function handle(request)
	if request.path ~= "" then
		return send_page(request, "404 Not Found", "Not here", '<p>There is only <a href="/">the form</a>.</p>\n')
	end
	if request.method == "GET" or request.method == "HEAD" then
		return send_page(request, "200 OK", "Send files", FORM)
	end
	if request.method ~= "POST" then
		request:send_status("405 Method Not Allowed")
		request:send_header("Allow", "GET, HEAD, POST")
		return request:finish()
	end
	local fields, count = receive(request)
	if count == 0 then
		return send_page(request, "400 Bad Request", "Nothing was sent", '<p>No file was selected. <a href="/">Try again</a></p>\n')
	end
	if request.headers_csv_string["Accept"]:find("text/html", 1, true) then
		return send_table(request, fields, count)
	end
	send_sums(request, fields)
end

listen{
	{ proto = "tcp4", port = port, localhost = true },
	connect = http.generate_handler(handle, {
		request_body_size_limit = SIZE_LIMIT,
		static_headers = {
			["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'",
		},
	}),
}
