-- Small limits for what clients may send: one listener for each limit of time, after one that is patient.
local http = require "moonbridge_http"

local function handle(request)
	local n = #request.body
	request:send_status("200 OK")
	request:send_data(n)
end

local function listener(idle_timeout, request_header_timeout, stall_timeout)
	return { proto = "tcp4", port = 0, localhost = true, connect = http.generate_handler({
		request_body_size_limit = 1000, request_header_size_limit = 2000,
		idle_timeout = idle_timeout, request_header_timeout = request_header_timeout, stall_timeout = stall_timeout,
	}, handle) }
end

listen{ listener(60, 60, 60), listener(0.2, 60, 60), listener(60, 0.2, 60), listener(60, 60, 0.2) }
