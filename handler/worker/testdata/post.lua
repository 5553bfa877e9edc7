-- What becomes of form bodies: the path says what is done with one.
local http = require "moonbridge_http"

require("moonbridge_websocket").handler("none", { message = print })

local ways, pattern = {}, string.find
string.find = nil -- the server has its own

local function show(v)
	if type(v) ~= "table" then return tostring(v) end
	local keys = {}
	for k in pairs(v) do keys[#keys + 1] = k end
	table.sort(keys)
	for i, k in ipairs(keys) do keys[i] = k .. "=" .. show(v[k]) end
	return "{" .. table.concat(keys, " ") .. "}"
end

local function tables(request)
	return "params " .. show(request.post_params) .. "\nlist " .. show(request.post_params_list) ..
		"\nmetadata " .. show(request.post_metadata) .. "\nlist " .. show(request.post_metadata_list)
end

-- A stream handler that checks how it is called, and notes what it got.
local function collector(log, label)
	local chunks
	return function(...)
		local n, chunk, meta = select("#", ...), ...
		if not chunks then
			assert(n == 2 and type(chunk) == "string" and type(meta) == "table")
			log[#log + 1] = label .. show(meta)
			chunks = { chunk }
		elseif n == 1 then
			assert(chunk ~= "" and chunks[1] ~= "")
			chunks[#chunks + 1] = chunk
		else
			assert(n == 0)
			log[#log + 1] = #chunks .. ":" .. table.concat(chunks)
			chunks = nil
		end
		assert(not chunk or #chunk <= 1000)
	end
end

-- ?exact=name&pattern=… registers handlers, in this order.
local function register(request, log)
	for i, name in ipairs(request.get_params_list.exact) do
		request:stream_post_param(name, collector(log, "exact "))
	end
	for i, p in ipairs(request.get_params_list.pattern) do
		request:stream_post_params(p, collector(log, "pattern " .. i .. " "))
	end
end

function ways.tables(request)
	return tables(request)
end

function ways.order(request)
	local first = request.post_metadata_list
	local same = first == request.post_metadata_list and request.post_params == request.post_params
	return tostring(same) .. "\n" .. tables(request)
end

function ways.stream(request)
	local log = {}
	register(request, log)
	assert(select("#", request:process_request_body()) == 0)
	request:process_request_body()
	log[#log + 1] = tables(request)
	return table.concat(log, "\n")
end

-- Without any word of the handler.
function ways.status(request)
	local log = {}
	register(request, log)
	request:send_status("200 OK")
	log[#log + 1] = tables(request)
	return table.concat(log, "\n")
end

function ways.access(request)
	local log = {}
	register(request, log)
	local t = tables(request)
	return table.concat(log, "\n") .. "\n" .. t
end

function ways.deferred(request)
	local log = {}
	register(request, log)
	request.defer_reading()
	request:send_status("200 OK")
	local before = #log
	request:process_request_body()
	return before .. " " .. table.concat(log, " ")
end

function ways.refuse(request)
	request:stream_post_param("file", error)
	request.defer_reading()
	request:send_status("403 Forbidden")
	return "refused"
end

-- Status and data from inside a stream handler, which is what defer_reading is for.
function ways.echo(request)
	request:defer_reading()
	request:stream_post_param("file", function(chunk, meta)
		if meta then
			request:send_status("201 Created")
			request:send_header("X-Name", meta.file_name or "none")
		end
		request:send_data(chunk or "!")
		request:flush()
	end)
	request:process_request_body()
	return ""
end

-- The response is that of a stream handler, which the send_status behind it has called.
function ways.ahead(request)
	request:stream_post_param("file", function(chunk)
		if chunk then return end
		request:defer_reading()
		request:send_status("403 Forbidden")
		if request.query == "?data" then request:send_data("no. ") end
	end)
	return select(2, pcall(request.send_status, request, "200 OK")) or "a second status"
end

function ways.ignore()
	return "ignored"
end

-- The number of bytes, and whether that of chunks is in proportion.
function ways.count(request)
	local bytes, chunks = 0, 0
	request:stream_post_param("file", function(chunk)
		if chunk and chunk ~= "" then
			bytes, chunks = bytes + #chunk, chunks + 1
		end
	end)
	request:process_request_body()
	return string.format("%d %s", bytes, chunks >= bytes / 1000 and chunks <= bytes / 250 + 10)
end

-- ?first-second: one thing after the other; the error of the second.
local use = {
	body = function(request) return request.body end,
	params = function(request) return request.post_params end,
	list = function(request) return request.post_params_list end,
	metadata = function(request) return request.post_metadata end,
	metadatalist = function(request) return request.post_metadata_list end,
	process = function(request) request:process_request_body() end,
	stream = function(request) request:stream_request_body(function() end) end,
	param = function(request) request:stream_post_param("a", function() end) end,
	pattern = function(request) request:stream_post_params("^a$", function() end) end,
	status = function(request) request:send_status("200 OK") end,
	defer = function(request) request.defer_reading() request:send_status("200 OK") end,
	none = function() end,
	failing = function(request)
		request:stream_post_param("a", function() error("broken") end)
		pcall(request.process_request_body, request)
	end,
}

function ways.exclusive(request)
	local first, second = request.query:match("^?(%a+)%-(%a+)$")
	use[first](request)
	local ok, message = pcall(use[second], request)
	return tostring(ok) .. ":" .. tostring(message)
end

-- Other methods that begin a response, inside of a stream handler only.
function use.subscribe(request) request:subscribe{ channels = "a" } end
function use.wait(request) request:wait{ channels = "a" } end
function use.accept(request) request:accept_websocket{ handler = "none" } end
function use.websocket(request) request:websocket() end
function use.file(request) request:send_file("testdata/post.lua") end
function use.unmodified(request) request:not_modified{ etag = '"x"' } end

-- ?what: the same, inside of a stream handler.
function ways.inside(request)
	local ok, message
	request:stream_post_param("file", function(chunk)
		if chunk then ok, message = pcall(use[request.query:sub(2)], request) end
	end)
	request:process_request_body()
	return tostring(ok) .. ":" .. tostring(message) .. "\n" .. request.post_params.b
end

-- ?chunk, ?end, ?table: an error in a stream handler, caught outside; then the request goes on.
function ways.errors(request)
	local calls, what = 0, request.query:sub(2)
	request:stream_post_param("file", function(chunk)
		calls = calls + 1
		if what == "table" then error(calls == 1 and use) end
		if what == "chunk" or not chunk then error("no room") end
	end)
	local ok, message = pcall(request.process_request_body, request)
	local again = select(2, pcall(use.params, request))
	return calls .. " " .. tostring(message == use or message) .. "\n" .. again
end

-- The client's mistake is caught, the handler's is not.
function ways.caught(request)
	request:stream_post_param("file", print)
	assert(not pcall(request.process_request_body, request))
	error("a mistake of the handler")
end

local function fails()
	error("deep in a handler")
end

function ways.uncaught(request)
	request:stream_post_param("file", function() fails() end)
	request:send_status("200 OK")
end

-- The error is caught, and raised again later, or an equal one is.
local function clean_up(message) error(message, 0) end

function ways.again(request)
	request:stream_post_param("file", function() fails() end)
	local _, message = pcall(request.process_request_body, request)
	clean_up(message)
end

local function fails_equally() error("short", 0) end

function ways.equal(request)
	request:stream_post_param("file", function() error("short", 0) end)
	pcall(request.process_request_body, request)
	fails_equally()
end

function ways.yield(request)
	request:stream_post_param("file", function() coroutine.yield() end)
	return select(2, coroutine.resume(coroutine.create(function() request:process_request_body() end)))
end

-- In a coroutine everything works that does not yield.
function ways.coroutine(request)
	local log = {}
	register(request, log)
	return coroutine.wrap(function()
		request:process_request_body()
		log[#log + 1] = tables(request)
		return table.concat(log, "\n")
	end)()
end

-- Wrong arguments: ?n.
local wrong = {
	function(request) request:stream_post_param() end,
	function(request) request:stream_post_param({}, print) end,
	function(request) request:stream_post_param(5, print) end,
	function(request) request:stream_post_param("a") end,
	function(request) request:stream_post_param("a", {}) end,
	function(request) request:stream_post_params(nil, print) end,
	function(request) request:stream_post_params("a", "b") end,
	function(request) request.stream_post_param("a", print) end,
	function(request) request:stream_post_params("[a", print) end,
	function(request)
		request:stream_post_param("a", print)
		request:stream_post_param("b", print)
		request:stream_post_param("a", print)
	end,
	function(request)
		request:stream_post_params("a", print)
		request:stream_post_params("b", print)
		request:stream_post_params("b", print)
	end,
	function(request)
		request:stream_post_params("^file(", print)
		request:process_request_body()
	end,
}

function ways.wrong(request)
	local ok, message = pcall(wrong[tonumber(request.query:sub(2))], request)
	return tostring(ok) .. ":" .. tostring(message)
end

listen{
	{ proto = "tcp4", port = 8080 },
	connect = http.generate_handler({ maximum_input_chunk_size = 1000, request_body_size_limit = 1000000 },
		function(request)
			local text = ways[request.path](request)
			if request.path == "exclusive" or request.path == "inside" then
				pcall(request.send_status, request, "200 OK") -- it may be there already
			elseif not pattern("status echo deferred refuse ahead", request.path, 1, true) then
				request:send_status("200 OK")
			end
			request:send_data(text)
		end)
}
listen{
	{ proto = "tcp4", port = 8081 },
	connect = http.generate_handler({ maximum_input_chunk_size = 1000, request_body_size_limit = 1e12 },
		function(request)
			local text = ways.count(request)
			request:send_status("200 OK")
			request:send_data(text)
		end)
}
