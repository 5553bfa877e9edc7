-- Sends 10 MiB in pieces of 64 KiB.
-- mbserve download.lua PORT [name=value ...]

local serve = require "serve"
local piece = require "piece"

local pieces = 160

serve(function(request)
	request:send_status("200 OK")
	request:send_header("Content-Type", "text/plain")
	request:send_header("Content-Length", pieces * #piece)
	for i = 1, pieces do request:send_data(piece) end
	request:finish()
end, ...)
