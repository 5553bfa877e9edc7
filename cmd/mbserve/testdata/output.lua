-- Writes lines of 4000 bytes, each with its number: /log?N to standard error, /print?N to standard output. The arguments are the
-- path of the Unix socket and a file, whose text at the time of loading is the body of each response.
local http = require "moonbridge_http"
local path, version = ...
local text = version and io.open(version):read("*a") or ""
local n = 0

local function lines(count, write)
	for _ = 1, count do
		n = n + 1
		write(("line %d "):format(n) .. ("x"):rep(4000))
	end
end

listen{
	{ proto = "local", path = path },
	min_fork = 1, max_fork = 1,
	connect = http.generate_handler(function(request)
		local count = tonumber(request.query:sub(2))
		if request.path == "log" then
			lines(count, function(line) io.stderr:write(line, "\n") end)
		elseif request.path == "print" then
			lines(count, print)
		end
		request:send_status("200 OK")
		request:send_data(text)
	end),
}
