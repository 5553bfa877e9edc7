-- Names of the later original: see later_test.go. The path says what is to be done.
local http = require "moonbridge_http"

local paths = {}

-- The text of an error, without a place.
local function try(f, ...) return (tostring(select(2, pcall(f, ...))):gsub("^testdata/later.lua:%d+: ", "")) end

function paths.text(request)
	local all = {}
	for i = 0, 255 do all[#all + 1] = string.char(i) end
	local bytes = table.concat(all)
	assert(http.decode_uri(http.encode_uri(bytes)) == bytes)
	local names = {}
	for status, how in pairs(http.status_without_response_body) do names[#names + 1] = status .. "=" .. tostring(how) end
	table.sort(names)
	return http.encode_html([[<a href="b">'&amp;'</a>]]) .. "\n" .. http.encode_uri("a b/ü.~_-%") .. "\n"
		.. http.decode_uri("a+b%2fc%2F%zz%4") .. "\n" .. http.encode_html(5) .. http.encode_uri(5) .. http.decode_uri(5) .. "\n"
		.. table.concat(names, " ") .. "\n" .. tostring(try(http.encode_html)):match("string expected")
end

function paths.host(request) return tostring(request.host) end

-- What makes a request a used one.
function paths.fresh(request)
	local use = {
		look = function() return request.path, request.headers.x, request.get_params.a, request.cookies.a end,
		close = function() request:close_after_finish() end,
		body = function() return request.body end,
		form = function() return request.post_params end,
		stream = function() request:stream_post_param("a", print) end,
		status = function() request:send_status("200 OK") end,
		interim = function() request:send_status("103 Early Hints") request:finish_headers() end,
		monologue = function() request:monologue() end,
		modified = function() assert(not request:not_modified{ etag = "a" }) end,
		no_tag = function() assert(not pcall(request.not_modified, request, { etag = "\n" })) end,
	}
	local before = request.fresh
	use[request.get_params.use]()
	return tostring(before) .. " " .. tostring(request.fresh)
end

function paths.close(request)
	request:close_after_finish()
	return "closed"
end

function paths.close_late(request)
	request:send_status("200 OK")
	request:close_after_finish()
	request:finish_headers()
	return try(request.close_after_finish, request) .. "\n" .. try(request.monologue, request)
end

function paths.finished(request)
	request:send_status("200 OK")
	request:send_data("finished")
	request:finish()
	io.stderr:write(try(request.close_after_finish, request), "\n")
end

-- The body is thrown away, and cannot be read any more.
function paths.monologue(request)
	request:monologue()
	request:consume_input()
	return try(function() return request.body end) .. "\n" .. try(function() return request.post_params end) .. "\n"
		.. try(request.stream_request_body_now, request, print) .. "\n" .. request.headers_value.host .. ("x"):rep(100000)
end

function paths.consume(request)
	local log = {}
	request:stream_post_param("a", function(...) log[#log + 1] = select("#", ...) end)
	request:consume_input()
	request:consume_input()
	return table.concat(log, " ") .. " " .. request.post_params.b
end

-- There is nothing left to do after another way of reading.
function paths.consume_body(request)
	local body = request.body
	request:consume_input()
	return body
end

function paths.consume_inside(request)
	local message
	request:stream_post_param("a", function() message = message or try(request.consume_input, request) end)
	request:consume_input()
	return message
end

function paths.stream_now(request)
	local parts = {}
	request:stream_request_body_now(function(chunk) parts[#parts + 1] = chunk end)
	return table.concat(parts) .. #parts .. try(request.stream_request_body_now, request, print)
end

function paths.faulty(request)
	assert(request.faulty == false)
	request:send_status("200 OK")
	request.socket:cancel()
	local message = try(request.send_data, request, ("x"):rep(100000))
	io.stderr:write("faulty: ", tostring(request.faulty), ", ", message, "\n")
end

function paths.faulty_body(request)
	local message = try(function() return request.body end)
	io.stderr:write("faulty: ", tostring(request.faulty), ", ", message, "\n")
	error(message, 0)
end

local function style(name)
	return http.generate_handler({ post_stream_style = name }, function(request)
		local log = {}
		request:stream_post_params("^f", function(...)
			local t = { ... }
			for i, v in ipairs(t) do
				if type(v) == "table" then v = v.field_name .. "/" .. tostring(v.file_name) .. "/" .. tostring(v.content_type) end
				t[i] = v
			end
			log[#log + 1] = select("#", ...) .. "(" .. table.concat(t, ",") .. ")"
		end)
		request:consume_input()
		request:send_status("200 OK")
		request:send_data(table.concat(log, " "))
	end)
end

listen{
	{ proto = "tcp4", port = 1 },
	{ proto = "tcp4", port = 2, handler = style("1.0") },
	{ proto = "tcp4", port = 3, handler = style(false) },
	connect = http.generate_handler(function(request)
		local text = paths[request.path](request)
		if not text then return end
		pcall(request.send_status, request, "200 OK")
		request:send_data(text)
	end)
}

-- The handler of a timer or a main listener belongs to it, unless the pool's connect tells them apart.
local function say(what) return function(o) io.stderr:write(what, " ", o.interval or o.main, "\n") end end

listen{
	{ proto = "interval", delay = 1, name = "a", handler = say "handler of" },
	{ proto = "main", name = "b", handler = say "handler of" },
	connect = function(socket) socket:write("x") end,
}

listen{
	{ proto = "interval", delay = 1, name = "a", handler = error },
	{ proto = "main", name = "b", handler = error },
	{ proto = "interval", delay = 1, name = "c", connect = say "own connect of" },
	connect = function(socket)
		if socket.interval then return say("dispatched")(socket) end
		if socket.main then return say("dispatched")(socket) end
	end,
}

listen{
	{ proto = "main", name = "polls", handler = function(poll)
		io.stderr:write(tostring(poll({}, nil, 0)), " ", tostring((select(3, poll(nil, nil, nil, true)))), "\n")
	end },
	{ proto = "main", name = "fails", handler = function() error("a mistake") end },
}
