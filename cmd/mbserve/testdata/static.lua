-- Files by the server: the directory is the first argument. The one worker of the pool waits until the file /release appears.
local http = require "moonbridge_http"
local root = ...

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	{ proto = "interval", delay = 3600, handler = function() end },
	static = {
		["/assets/"] = { root, max_age = 60, missing = 404 },
		["/favicon.ico"] = root .. "/icon.ico",
		["/"] = { root .. "/pages", listing = true },
	},
	min_fork = 1, max_fork = 1, pre_fork = 1,
	connect = http.generate_handler({ static_headers = { "X-From: listener" } }, function(request)
		if request.path == "busy" then
			request:send_status("200 OK")
			request:send_data("begun")
			request:flush()
			while true do
				local f = io.open(root .. "/release")
				if f then f:close() break end
				os.execute("sleep 0.01")
			end
			return
		end
		request:send_status("200 OK")
		request:send_data("handler /", request.path)
	end)
}
