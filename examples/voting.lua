-- Proposals and votes: an application in the style of those for the later version of the original, Moonbridge 1.0. It has a
-- framework of its own, a process that holds the data, and a main function that ends the server. Try it:
--
--     mbserve examples/voting.lua [port [directory]]       # the directory is for a Unix socket; /tmp if none is given
--
-- Then open http://127.0.0.1:8080/ in a browser, or:
--
--     curl -F title=Moon -F text=@README.md http://127.0.0.1:8080/propose
--     curl -d number=1 http://127.0.0.1:8080/vote
--     curl http://127.0.0.1:8080/sorted
--     curl -X POST http://127.0.0.1:8080/close             # the end of the vote, and of the server
local http = require "moonbridge_http"
local framework = require "voting.framework"

local port = tonumber(arg[1] or 8080) or error("the port must be a number, not " .. arg[1])
local socket_path = (arg[2] or "/tmp") .. "/voting.sock"
local pages, actions = framework.pages, framework.actions


-- The data -----------------------------------------------------------------------------------------------------------------

-- One worker holds it. The others connect to it, send a line, and read the answer to the end.
local proposals, closed = {}, false
local commands = {}

function commands.add(title, size)
	proposals[#proposals + 1] = { title = title, size = size, votes = 0 }
	return #proposals
end

function commands.vote(number)
	local p = not closed and proposals[tonumber(number)]
	if not p then return "no" end
	p.votes = p.votes + 1
	return p.votes
end

function commands.list()
	local lines = {}
	for i, p in ipairs(proposals) do lines[i] = ("%d %d %s %s\n"):format(i, p.votes, p.size, p.title) end
	return table.concat(lines)
end

function commands.close()
	closed = true
	return "closed"
end

function commands.state() return closed and "closed" or "open" end

local function store(socket)
	local line = socket:readuntil("\n", 10000) or ""
	local name, first, second = line:match("^(%a+) ?(%S*) ?(%S*)\n$")
	if commands[name] then socket:write(commands[name](first, second)) end
end

local function ask(...)
	local connection = assert(moonbridge_io.localconnect(socket_path))
	connection:write(table.concat({ ... }, " "), "\n")
	connection:flush()
	local answer = connection:read()
	connection:close()
	return answer
end


-- Pages --------------------------------------------------------------------------------------------------------------------

pages[""] = function(request)
	local rows = {}
	for number, votes, size, title in ask("list"):gmatch("(%d+) (%d+) (%d+) (%S+)\n") do
		rows[#rows + 1] = ("<li>%s: %d votes, %d bytes"):format(http.encode_html(http.decode_uri(title)), votes, size)
			.. ('<form method="post" action="vote"><button name="number" value="%d">Vote</button></form>'):format(number)
	end
	framework.page(request, "Proposals", "<p>" .. http.encode_html(request.get_params.message or ""), "<ol>",
		table.concat(rows, "\n"), "</ol>", [[<form method="post" action="propose" enctype="multipart/form-data">
<input name="title"> <input name="text" type="file"> <button>Propose</button></form>]])
end

-- The titles as sort(1) puts them: its input is written while its output is read, so that neither waits for the other.
function pages.sorted(request)
	local titles = {}
	for title in ask("list"):gmatch("(%S+)\n") do titles[#titles + 1] = http.decode_uri(title) end
	local child = assert(moonbridge_io.exec("env", "LC_ALL=C", "sort", "-r"))
	local reading, writing, out = { [child.stdout] = true }, { [child.stdin] = true }, {}
	child.stdin:write_nb(table.concat(titles, "\n"), "\n")
	while next(reading) do
		assert(moonbridge_io.poll(reading, writing, 10))
		if next(writing) and child.stdin:flush_nb() == 0 then
			writing[child.stdin] = nil
			child.stdin:close()
		end
		local data, status = child.stdout:read_nb()
		out[#out + 1] = data
		if status == "eof" then reading[child.stdout] = nil end
	end
	assert(child:wait() == 0, "sort has failed")
	framework.send(request, "200 OK", "text/plain; charset=utf-8", table.concat(out))
end

-- The state of the vote, every now and then until it is closed, the server stops, or enough has been said.
function pages.live(request)
	local began = moonbridge_io.timeref()
	request:monologue()
	request:send_status("200 OK")
	request:send_header("Content-Type", "text/event-stream")
	for i = 1, tonumber(request.get_params.events) or 1000 do
		request:send_data("id: ", i, "\ndata: ", ask("state"), "\n\n")
		request:flush()
		local _, _, stop = moonbridge_io.poll(nil, nil, tonumber(request.get_params.pause) or 1, true)
		if stop then break end
	end
	request:send_data("event: end\ndata: ", moonbridge_io.timeref(began) >= 0 and "over" or "odd", "\n\n")
end

-- Is the server well? It asks itself, as a client would. That takes a second worker.
function pages.health(request)
	local connection = assert(moonbridge_io.tcpconnect("127.0.0.1", request.socket.local_tcpport))
	connection:flush("GET /empty HTTP/1.1\r\nHost: ", request.host, "\r\nConnection: close\r\n\r\n")
	local line = connection:read(100, "\n")
	connection:close()
	request:close_after_finish()
	framework.send(request, "200 OK", "text/plain", line:match("^HTTP/1.1 (%d+)") .. "\n")
end

function pages.empty(request) framework.send(request, "204 No Content") end


-- Actions ------------------------------------------------------------------------------------------------------------------

function actions.propose(request)
	local size, file_name = 0, nil
	request:stream_post_param("text", function(chunk, field_name, metadata)
		if metadata then file_name = metadata.file_name end
		if chunk then size = size + #chunk end
	end)
	request:consume_input()
	local title = request.post_params.title
	if not title or title == "" then return framework.send(request, "422 Unprocessable Content", "text/plain", "No title.\n") end
	local number = ask("add", http.encode_uri(title), size)
	framework.redirect(request, ("proposal %s: %s, %d bytes"):format(number, file_name or "no file", size))
end

function actions.vote(request)
	local votes = ask("vote", tonumber(request.post_params.number) or "0")
	framework.redirect(request, votes .. " votes")
end

-- A title in each line of the body, however large it is.
actions["import"] = function(request)
	local rest, count = "", 0
	request:stream_request_body_now(function(chunk)
		rest = (rest .. chunk):gsub("([^\n]+)\n", function(title)
			ask("add", http.encode_uri(title), 0)
			count = count + 1
			return ""
		end)
	end)
	framework.send(request, "200 OK", "text/plain", count .. " proposals\n")
end

function actions.close(request) framework.send(request, "200 OK", "text/plain", ask("close") .. "\n") end


-- The server ---------------------------------------------------------------------------------------------------------------

-- Runs beside the pages. When it returns, the server stops.
local function main(process)
	local stop
	repeat
		_, _, stop = moonbridge_io.poll(nil, nil, 0.2, true)
	until stop or ask("state") == "closed"
	io.stderr:write(process.main, ": ", stop and "the server stops" or "the vote is closed", "\n")
end

listen{ { proto = "local", path = socket_path, mode = "0600" }, min_fork = 1, max_fork = 1, connect = store }

framework.listen{
	{ proto = "tcp4", port = port, localhost = true },
	{ proto = "main", name = "voting", handler = main },
	min_fork = 3,
	http_options = { static_headers = "Referrer-Policy: same-origin", request_body_size_limit = 10 * 1024 * 1024 },
}
