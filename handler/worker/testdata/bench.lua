-- What benchmarks ask for: the method or the query says how much of the request is used.
local http = require "moonbridge_http"

listen{
	{ proto = "tcp4", port = 8080 },
	connect = http.generate_handler(function(request)
		local text = "Hello"
		if request.method == "POST" then
			local form = request.post_params
			text = form.field1 .. form.field2
		elseif request.query ~= "" then
			text = request.get_params.sort .. request.cookies.theme
		end
		request:send_status("200 OK")
		request:send_header("Content-Type", "text/plain")
		request:send_data(text)
		request:finish()
	end)
}
