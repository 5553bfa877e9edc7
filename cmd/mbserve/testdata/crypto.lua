-- The module moonbridge_crypto, for crypto_test.go. A request is a piece of Lua, the body.
local http = require "moonbridge_http"
crypto = require "moonbridge_crypto"

at_load = crypto.secret("sessions")

function hex(s) return (s:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end

local handler = http.generate_handler(function(request)
	local f, e = (loadstring or load)(request.body)
	request:send_status("200 OK")
	if f then
		f, e = pcall(f)
	end
	request:send_data(tostring(e))
end)

listen{ { proto = "tcp4", port = 0, localhost = true }, min_fork = 2, connect = handler }
