-- Responses that are compressed, and others. The query is the number of bytes.
local http = require "moonbridge_http"

local line = "<p>a line of a page that repeats itself: %d</p>\n"

local function page(n)
	local parts, len = {}, 0
	for i = 1, n do
		parts[i] = line:format(i * i % 977)
		len = len + #parts[i]
		if len >= n then break end
	end
	return table.concat(parts):sub(1, n)
end

local function size(request) return tonumber(request.query:sub(2)) end

-- Text that cannot be compressed within the windows of the encoders.
local noise
local function make_noise()
	local parts, x = {}, 1
	for i = 1, 65536 do
		x = (x * 16807) % 2147483647
		parts[i] = ("%08x"):format(x)
	end
	noise = table.concat(parts)
end

local pages = {
	noise = function(request)
		if not noise then make_noise() end
		for _ = 1, size(request) do request:send_data(noise) end
	end,
	page = function(request)
		request:send_header("ETag", '"a"')
		request:send_data(page(size(request)))
	end,
	stream = function(request)
		for _ = 1, 3 do
			request:send_data(page(size(request)))
			request:flush()
		end
	end,
	pieces = function(request)
		local piece = page(1000)
		for _ = 1, size(request) do request:send_data(piece) end
	end,
	own = function(request)
		request:send_header("Content-Encoding", "identity")
		request:send_data(page(size(request)))
	end,
	pid = function(request)
		request:send_data(page(size(request)))
		request:flush()
		io.stderr:write("at work\n")
		while true do end
	end,
	later = function(request)
		request:send_data(page(size(request)))
		request:finish()
		io.stderr:write("later\n")
	end,
}

local function handle(request)
	request:send_status("200 OK")
	if request.path == "events" then
		request:send_header("Content-Type", "text/event-stream")
		local n = 0
		local function event()
			n = n + 1
			request:send_data("data: " .. n .. "\n\n")
			request:flush()
		end
		event()
		request:stream_request_body(event) -- one for each piece
		return
	end
	request:send_header("Content-Type", "text/html; charset=utf-8")
	pages[request.path](request)
end

local options = { stream_body = true, compress = { types = { "text/*", "text/event-stream" }, min_bytes = 500, level = 4 } }
listen{
	{ proto = "tcp4", port = 0, localhost = true, connect = http.generate_handler(options, handle) },
	{ proto = "tcp4", port = 0, localhost = true, connect = http.generate_handler({ compress = true }, handle) },
	{ proto = "tcp4", port = 0, localhost = true, connect = http.generate_handler(handle) },
	{ proto = "tcp4", port = 0, localhost = true, connect = http.generate_handler({ compress = false }, handle) },
	{ proto = "tcp4", port = 0, localhost = true, connect = http.generate_handler({ compress = true, buffer_response = false }, handle) },
	min_fork = 2, max_fork = 4,
}
