-- Says what it knows of its trace. The argument is a server to which /next/ is passed on.
local http = require "moonbridge_http"
local target = ...

listen{
	{ proto = "tcp4", port = 0, localhost = true, http2 = "h2c" },
	min_fork = 1, max_fork = 1,
	trusted_proxies = { "127.0.0.1" },
	routes = { ["/next/"] = { proxy = target } },
	connect = http.generate_handler(function(request)
		if request.path == "fail" then
			error("on purpose")
		elseif request.path == "slow" then
			timeout(0)
			os.execute("sleep 0.05")
		end
		request:send_status("200 OK")
		request:send_data(tostring(request.trace_id), " ", tostring(request.traceparent), " ", tostring(request.tracestate))
	end),
}

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	min_fork = 1, max_fork = 1,
	connect = http.generate_handler(function(request)
		request:send_status("200 OK")
		request:send_data(tostring(request.trace_id), " ", tostring(request.traceparent), " ", tostring(request.tracestate))
	end),
}
