-- Sets time limits in every way. The path selects one.
local http = require "moonbridge_http"
local cases = {}

-- Runs for the given number of seconds of processor time, or forever without one.
local function busy(seconds)
	local stop = seconds and os.clock() + seconds
	repeat until stop and os.clock() > stop
end

function cases.ends() timeout(0.1) busy() end
function cases.off() timeout(0.4) timeout(0) busy(0.6) return "off" end
function cases.anew() timeout(0.4) timeout(30) busy(0.6) return timeout() > 20 and "anew" end
function cases.inner() timeout(0.1, busy) end
function cases.outer() timeout(0.1) timeout(30, busy) end
function cases.returns()
	local a, b, c = timeout(30, function(...) return select("#", ...), ... end, "x", nil)
	return tostring(a) .. tostring(b) .. tostring(c)
end
function cases.over() timeout(0.4, busy, 0.01) busy(0.6) return ("over, %g left"):format(timeout()) end
function cases.nothing() return ("%g"):format(timeout()) end
function cases.raises() return select(2, pcall(timeout, 30, error, "it is broken", 0)) end
function cases.left() timeout(0.4) return "left to the next request" end
function cases.next() busy(0.8) return ("not limited, %g"):format(timeout()) end
function cases.number() return select(2, pcall(timeout, "x")) end
function cases.func() return select(2, pcall(timeout, 1, "x")) end

local ok, message = pcall(timeout, 1)
io.stderr:write("script: ", message, "\n")

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	min_fork = 1, max_fork = 1,
	connect = http.generate_handler(function(request)
		local text = cases[request.path]()
		request:send_status("200 OK")
		request:send_data(text)
	end),
}
