-- Handlers that fail.
local http = require "moonbridge_http"

local cases = {}

function cases.error() error("first line\nsecond line") end
function cases.table() error({}) end
function cases.object() error(setmetatable({}, { __tostring = function() return "an object" end })) end
function cases.none() end
function cases.after_data(r) r:send_status("200 OK") r:send_data("x") error("late") end
function cases.after_flush(r) r:send_status("200 OK") r:send_data("x") r:flush() error("too late") end
function cases.after_interim(r) r:send_status("103 Early Hints") r:finish_headers() error("interim") end
function cases.length(r) r:send_status("200 OK") r:send_header("Content-Length", 10) r:send_data("12") end
function cases.length_flushed(r)
	r:send_status("200 OK") r:send_header("Content-Length", 10) r:send_data("12") r:flush()
end
function cases.long() return (("xx"):rep(2e9)) end -- more than LuaJIT can have
function cases.exit() os.exit(7) end
function cases.crash(r)
	os.execute("kill -" .. r.query:sub(2) .. " $PPID")
end
function cases.loop() while true do end end
function cases.retire(r) r:send_status("200 OK") return false end
function cases.ok(r) r:send_status("200 OK") end

listen{
	{ proto = "tcp4", port = 8080 },
	connect = http.generate_handler(function(request) return cases[request.path](request) end)
}
