-- What a handler gets of a request body with a content coding.
local http = require "moonbridge_http"

local function handle(request)
	if request.path == "form" then
		request:send_status("200 OK")
		request:send_data("name is ", request.post_params.name)
		return
	end
	if request.path == "unread" then
		request:send_status("200 OK")
		request:send_data("not read")
		return
	end
	local body = request.body
	request:send_status("200 OK")
	request:send_data(#body, " ", body:sub(1, 20), " ", tostring(request.headers_value["Content-Encoding"]))
end

local function listener(options)
	options.request_body_size_limit = 3000000
	return { proto = "tcp4", port = 0, localhost = true, connect = http.generate_handler(options, handle) }
end

-- On a connection of its own, a handler gets no decoded bodies.
local raw = http.generate_handler({ encoded_body = "decode", request_body_size_limit = 3000000 }, handle)

listen{
	listener{}, listener{ encoded_body = "refuse" }, listener{ encoded_body = "decode" },
	listener{ encoded_body = "decode", stream_body = true, compress = true }, listener{ encoded_body = "pass" },
	{ proto = "tcp4", port = 0, localhost = true, connect = function(socket) return raw(socket) end },
	min_fork = 2, max_fork = 4,
}
