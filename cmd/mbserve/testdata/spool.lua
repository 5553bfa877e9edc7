-- Arguments: number of workers, stall_timeout. What is done with a body, or what kind of response is sent, depends on the
-- path. The listeners differ in their options: defaults; stream_body; buffer_response = false.
local http = require "moonbridge_http"
local workers, stall = ...
workers, stall = tonumber(workers) or 1, tonumber(stall) or 60

local paths = {}

function paths.hello(request)
	request:send_status("200 OK")
	request:send_data("hello")
end

-- Notes that it was called, then sends the body back.
function paths.echo(request)
	io.stderr:write("called\n")
	local body = request.body
	request:send_status("200 OK")
	request:send_data(body)
end

-- The body of a form's field "file", written to the file that the query names.
function paths.save(request)
	local f = assert(io.open(request.query:sub(2), "wb"))
	local n = 0
	request:stream_post_param("file", function(chunk)
		if chunk then
			n = n + #chunk
			f:write(chunk)
		end
	end)
	local other = request.post_params.other
	f:close()
	request:send_status("200 OK")
	request:send_data(n, " ", other)
end

-- The worker is killed the first time, when it has read a part of the body. The query names a file that says which time it is.
function paths.die_once(request)
	local name, first = request.query:sub(2), true
	local parts = {}
	request:stream_request_body(function(chunk)
		if first and not io.open(name) then
			io.open(name, "w"):close()
			os.execute("kill -9 " .. io.open("/proc/self/stat"):read("*n"))
		end
		first = false
		parts[#parts + 1] = chunk
	end)
	request:send_status("200 OK")
	request:send_data(table.concat(parts))
end

-- Reads a part of the body, says so, and waits until the file exists that the query names.
function paths.hold(request)
	local name, first = request.query:sub(2), true
	request:stream_request_body(function()
		if first then
			io.stderr:write("holds\n")
			repeat local f = io.open(name) until f and f:close()
		end
		first = false
	end)
	paths.hello(request)
end

function paths.fail(request)
	request:stream_request_body(function() error("on purpose") end)
end

function paths.unread(request)
	request:send_status("200 OK")
	request:send_data("unread")
end

-- N bytes, N being the query.
function paths.big(request)
	local left, piece = tonumber(request.query:sub(2)), ("0123456789abcdef"):rep(4096)
	request:send_status("200 OK")
	while left > 0 do
		request:send_data(left < #piece and piece:sub(1, left) or piece)
		left = left - #piece
	end
	io.stderr:write("written\n")
end

local function handle(request) return paths[request.path](request) end

local function listener(options)
	options.request_body_size_limit = 2^30
	options.stall_timeout = stall
	return { proto = "tcp4", port = 0, localhost = true, connect = http.generate_handler(handle, options) }
end

listen{ listener{}, listener{ stream_body = true }, listener{ buffer_response = false },
	min_fork = workers, max_fork = workers, fork_error_delay = 0.01,
	queue_timeout = false, -- a busy machine takes long for large bodies
}
