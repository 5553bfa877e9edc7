-- /string, /stream, /ignore, /form …: what is done with the body.
local http = require "moonbridge_http"
local channel = require "moonbridge_channel"

local ways = {}

function ways.string(request)
	local body = request.body
	assert(body == request.body)
	return "1:" .. #body .. ":" .. body
end

function ways.stream(request)
	local parts = {}
	request:stream_request_body(function(chunk)
		assert(#chunk > 0 and #chunk <= 1000)
		parts[#parts + 1] = chunk
	end)
	local body = table.concat(parts)
	return (#parts > 1 and "n" or #parts) .. ":" .. #body .. ":" .. body
end

function ways.form(request)
	return "form:" .. request.post_params.a .. ":" .. #request.post_params_list.b
end

-- It asks the server something.
function ways.count()
	local n, message = channel.count("a")
	return tostring(n) .. " " .. tostring(message)
end

function ways.ignore()
	return "ignored"
end

-- The body is read in part.
function ways.broken(request)
	request:stream_request_body(function() error("on purpose") end)
end

-- What was kept by send_status is still there afterwards.
function ways.late(request)
	request:send_status("200 OK")
	return "late:" .. request.post_params.a
end

-- An interim response goes out before the body is read.
function ways.interim(request)
	request:send_status("103 Early Hints")
	request:finish_headers()
	return request.post_params.a
end

-- The body is read by a finalizer, which runs while a table of the head is made.
function ways.finalizer(request)
	local read
	local what = request.get_params_list.what[1]
	local function finalize()
		read = 0
		request:stream_request_body(function(chunk) read = read + #chunk end)
	end
	collectgarbage()
	collectgarbage("stop")
	local function leave_garbage() -- a function of its own: nothing on the stack keeps it
		if newproxy then
			getmetatable(newproxy(true)).__gc = finalize
		else
			setmetatable({}, { __gc = finalize })
		end
	end
	leave_garbage()
	local speed = collectgarbage("setstepmul", 0) -- with LuaJIT, a step is a whole collection
	collectgarbage("restart")
	local value = request[what].a
	collectgarbage("setstepmul", speed)
	collectgarbage() -- in case it has not run
	collectgarbage()
	return tostring(value) .. " " .. read
end

function ways.exclusive(request)
	local way, other = request.query:match("^?(%a+)%-(%a+)$")
	local use = {
		body = function() return request.body end,
		form = function() return request.post_params end,
		stream = function() request:stream_request_body(function() end) end,
	}
	use[way]()
	local ok, message = pcall(use[other])
	return tostring(ok) .. ":" .. tostring(message)
end

listen{
	{ proto = "tcp4", port = 8080 },
	connect = http.generate_handler({ maximum_input_chunk_size = 1000, request_body_size_limit = 1000000 },
		function(request)
			local text = ways[request.path](request)
			if request.path ~= "late" then request:send_status("200 OK") end
			request:send_data(text)
		end)
}
