-- Various infinite recursions.
local http = require "moonbridge_http"
local cases = {}

function cases.lua()
	local function f(n) return 1 + f(n + 1) end
	f(1)
end
function cases.gsub()
	local function f() return (("x"):gsub("x", f)) end
	f()
end
function cases.coroutine()
	local function f() coroutine.wrap(f)() end
	f()
end
function cases.pattern() return ("x"):rep(1e6):match((".?"):rep(1e6)) end
function cases.syntax() return assert((loadstring or load)("return " .. ("("):rep(1e5) .. "1" .. (")"):rep(1e5))) end
function cases.pid() return io.open("/proc/self/stat"):read("*n") end

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	connect = http.generate_handler(function(request)
		local result = cases[request.path]()
		request:send_status("200 OK")
		request:send_data(tostring(result))
	end),
}
