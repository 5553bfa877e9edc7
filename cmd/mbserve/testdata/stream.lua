-- One worker. POST counts the body and computes a checksum of it. GET /N sends N bytes in pieces, the last one cut. Bodies are
-- complete before the handler is called, except on the second listener.
local http = require "moonbridge_http"
local ffi = require "ffi"
local bit = require "bit"

-- Byte i of all data is this at i modulo the length, which is a prime, so that every piece starts at another offset.
local t = {}
for i = 0, 65520 do t[#t + 1] = string.char((i * i + 7 * i) % 251) end
local pattern = table.concat(t)

local begun = 0

local function handle(request)
	begun = begun + 1
	if request.method ~= "GET" then
		local n, h = 0, 0
		request:stream_request_body(function(piece)
			if n == 0 then io.stderr:write("body begins\n") end
			local p = ffi.cast("const uint8_t *", piece)
			for i = 0, #piece - 1 do h = bit.tobit(h * 31 + p[i]) end
			n = n + #piece
		end)
		request:send_status("200 OK")
		request:send_data(n, " ", ("%08x"):format(h < 0 and h + 2^32 or h), " ", begun)
		return
	end
	local left = tonumber(request.path)
	request:send_status("200 OK")
	while left > 0 do
		local piece = #pattern < left and pattern or pattern:sub(1, left)
		request:send_data(piece)
		left = left - #piece
	end
end

local size = { request_body_size_limit = 1e12 }
local streamed = { request_body_size_limit = 1e12, stream_body = true }

listen{
	{ proto = "tcp4", port = 0, localhost = true, connect = http.generate_handler(size, handle) },
	{ proto = "tcp4", port = 0, localhost = true, connect = http.generate_handler(streamed, handle) },
	min_fork = 1, max_fork = 1,
	gone_after = false, -- clients that close their sending side at once are answered on a busy machine too
}
