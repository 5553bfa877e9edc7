-- The site that the packages install, as mbserve@example: http://127.0.0.1:8080/ on this machine only. Copy it to
-- /srv/NAME/main.lua for an application of your own, change the port, and start mbserve@NAME.
local http = require "moonbridge_http"

local page = [[<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Moonbridge works</title>
<style>body { font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem }</style>
<h1>Moonbridge works</h1>
<p>This page was made by <code>%s</code>, request %d of worker process %s.</p>
<p>The manual is in <code>man mbserve-script</code>, the options are in <code>man mbserve</code>.</p>
</html>
]]

local count, worker = 0, "?"

listen{
	{ proto = "tcp4", port = 8080, localhost = (...) ~= "all" }, -- mbserve main.lua all: for other machines too
	prepare = function()
		local stat = io.open("/proc/self/stat")
		if stat then
			worker = stat:read("*n")
			stat:close()
		end
	end,
	connect = http.generate_handler(function(request)
		count = count + 1
		request:send_status("200 OK")
		request:send_header("Content-Type", "text/html; charset=utf-8")
		request:send_data(page:format(_MOONBRIDGE_VERSION, count, worker))
		request:finish()
	end),
}
