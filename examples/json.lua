-- A JSON API: notes that can be listed, added, read, changed and deleted, with a status for each kind of error.
-- It needs the module lua-cjson (on Debian and Ubuntu: apt-get install lua-cjson). Try it:
--
--     mbserve examples/json.lua [port]
--
--     curl -i --json '{"text": "Full moon on Friday"}' http://127.0.0.1:8080/notes
--     curl -i http://127.0.0.1:8080/notes
--     curl -i -X PUT --json '{"text": "Cloudy on Friday", "done": true}' http://127.0.0.1:8080/notes/1
--     curl -i -X DELETE http://127.0.0.1:8080/notes/1
--     curl -i --json '{"text": ' http://127.0.0.1:8080/notes           # 400: not JSON
--     curl -i -d 'text=Hello' http://127.0.0.1:8080/notes              # 415: a form is not accepted
--     curl -i -X PATCH http://127.0.0.1:8080/notes                     # 405: with the allowed methods
local http = require "moonbridge_http"
local cjson = require "cjson.safe" -- "safe": decode returns nil and a message instead of raising an error

cjson.decode_invalid_numbers(false) -- by default it accepts NaN and hexadecimal numbers, which are not JSON

local port = tonumber(arg[1] or 8080) or error("the port must be a number, not " .. arg[1])

-- The notes are in a variable of the pool's only worker, see max_fork below. With more workers, each would have its own
-- notes, because processes share nothing. Use a database then, as in sqlite.lua.
local notes, count, last_id = {}, 0, 0
local COUNT_MAX = 1000
local TEXT_MAX = 10000 -- bytes


-- Answers ---------------------------------------------------------------------------------------------------------------

-- Sends JSON. extra: additional header fields, name → value.
local function send_json(request, status, json, extra)
	request:send_status(status)
	request:send_header("Content-Type", "application/json")
	for name, value in pairs(extra or {}) do request:send_header(name, value) end
	request:send_data(json, "\n")
	request:finish()
end

local function send(request, status, value, extra)
	send_json(request, status, assert(cjson.encode(value)), extra)
end

local function refuse(request, status, message, extra)
	send(request, status, { error = message }, extra)
end

-- Returns the note in a request, or nil after it has refused the request.
local function received_note(request)
	local content_type = request.headers_value["Content-Type"] or "" -- false if there are two
	if content_type:lower():match("^[^%s;]*") ~= "application/json" then
		return refuse(request, "415 Unsupported Media Type", "the Content-Type must be that of JSON")
	end
	local note, message = cjson.decode(request.body)
	if note == nil then
		return refuse(request, "400 Bad Request", "this is not JSON: " .. message)
	end
	if type(note) ~= "table" or type(note.text) ~= "string" or note.text == "" or #note.text > TEXT_MAX then
		return refuse(request, "422 Unprocessable Content",
			"a note must be an object with a text of 1 to " .. TEXT_MAX .. " bytes")
	end
	if note.done ~= nil and type(note.done) ~= "boolean" then
		return refuse(request, "422 Unprocessable Content", "done must be true or false")
	end
	return { text = note.text, done = note.done or false } -- without any other fields from the client
end


-- Operations on all notes, and on one note ------------------------------------------------------------------------------

local collection, item = {}, {}

function collection.GET(request)
	local ids = {}
	for id in pairs(notes) do ids[#ids + 1] = id end
	table.sort(ids)
	local list = {}
	for i, id in ipairs(ids) do list[i] = assert(cjson.encode(notes[id])) end
	-- By hand, because cjson cannot tell whether an empty Lua table is [] or {}.
	send_json(request, "200 OK", "[" .. table.concat(list, ",\n") .. "]")
end

function collection.POST(request)
	local note = received_note(request)
	if not note then return end
	if count == COUNT_MAX then
		return refuse(request, "507 Insufficient Storage", "there are " .. COUNT_MAX .. " notes already: delete some")
	end
	count, last_id = count + 1, last_id + 1
	note.id = last_id
	notes[note.id] = note
	send(request, "201 Created", note, { Location = "/notes/" .. note.id })
end

function item.GET(request, id)
	send(request, "200 OK", notes[id])
end

function item.PUT(request, id)
	local note = received_note(request)
	if not note then return end
	note.id = id
	notes[id] = note
	send(request, "200 OK", note)
end

function item.DELETE(request, id)
	notes[id], count = nil, count - 1
	request:send_status("204 No Content")
	request:finish()
end


-- Routes ----------------------------------------------------------------------------------------------------------------

local function call(request, methods, id)
	-- For HEAD the server sends the same header as for GET and drops the body.
	local answer = methods[request.method == "HEAD" and "GET" or request.method]
	if answer then return answer(request, id) end
	local allow = {}
	for name in pairs(methods) do allow[#allow + 1] = name end
	table.sort(allow)
	refuse(request, "405 Method Not Allowed", request.method .. " is no method for this resource",
		{ Allow = table.concat(allow, ", ") .. ", HEAD" })
end

local function handle(request)
	local path = request.path or "" -- it is nil for "OPTIONS *"
	if path == "notes" then return call(request, collection) end
	local id = path:match("^notes/(%d+)$")
	if id and notes[tonumber(id)] then return call(request, item, tonumber(id)) end
	refuse(request, "404 Not Found", id and "there is no note " .. id or "there is nothing here but notes")
end

listen{
	{ proto = "tcp4", port = port, localhost = true },
	max_fork = 1,
	connect = http.generate_handler(handle, { request_body_size_limit = 64 * 1024 }),
}
