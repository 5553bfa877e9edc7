-- Loading waits until the FIFO is opened that is the first argument; the second time it does not. The body of responses says
-- how often the script was loaded, which the file counts that is the second argument.
local http = require "moonbridge_http"
local fifo, file = ...
local f = io.open(file)
local loads = f and f:read("*n") or 0
if f then f:close() end
loads = loads + 1
f = io.open(file, "w")
f:write(("%d"):format(loads))
f:close()
if loads == 1 then
	io.stderr:write("loading\n")
	io.open(fifo):close()
end

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	connect = http.generate_handler(function(request)
		request:send_status("200 OK")
		request:send_data(("%d"):format(loads))
	end),
}
