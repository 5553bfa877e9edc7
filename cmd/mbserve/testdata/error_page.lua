-- Error pages, for error_page_test.go.
local http = require "moonbridge_http"

local function page(status, info)
	if info.type == "html" then
		return "<h1>" .. status .. " " .. info.reason .. "</h1>"
	elseif status == 504 then
		return '{"late":true}', "application/problem+json"
	end
end

local function handler(request)
	if request.path == "fail" then
		error("on purpose")
	elseif request.path == "exit" then
		os.exit(1)
	elseif request.path == "late" then
		while true do end
	end
	local body = request.body
	request:send_status("404 Not Found")
	request:send_data("the application's own\n")
end

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	max_fork = 2, error_page = page,
	static = { ["/files/"] = { "testdata/views", missing = 404 } },
	connect = http.generate_handler({ request_body_size_limit = 10, request_header_size_limit = 2000 }, handler),
}

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	error_page = true, rate_limit = { rate = 0.001, burst = 3 },
	connect = http.generate_handler(handler),
}

-- Apart from the others, which may take longer on a busy machine.
listen{
	{ proto = "tcp4", port = 0, localhost = true },
	max_fork = 2, request_timeout = 0.3, error_page = page,
	connect = http.generate_handler(handler),
}
