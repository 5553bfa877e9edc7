-- Hashes with examples/sha256.lua, which is in the directory arg[1], the number of bytes of a pattern given in the query, in pieces
-- of the given size.
package.path = arg[1] .. "/?.lua;" .. package.path
local http = require "moonbridge_http"
local sha256 = require "sha256"

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	connect = http.generate_handler(function(request)
		local bytes, piece = tonumber(request.get_params.bytes), tonumber(request.get_params.piece)
		local text = ("0123456789abcdef!"):rep(math.ceil(bytes / 17)):sub(1, bytes)
		local hash = sha256.new()
		for i = 1, bytes, piece do hash:update(text:sub(i, i + piece - 1)) end
		request:send_status("200 OK")
		request:send_data(hash:hex())
	end),
}
