-- One response a path.
local http = require "moonbridge_http"

local cases = {}

function cases.empty(r) r:send_status("200 OK") end
function cases.no_text(r) r:send_status("200") r:finish() end
function cases.many(r)
	r:send_status("200 OK")
	r:send_data("a", 1, 1.5, true, nil, setmetatable({}, { __tostring = function() return "T" end }))
end
function cases.s204(r) r:send_status("204 No Content") r:send_header("Content-Length", "0") r:send_data("") end
function cases.s205(r) r:send_status("205 Reset Content") end
function cases.s304(r) r:send_status("304 Not Modified") r:send_header("Content-Length", "5") end
function cases.length(r) r:send_status("200 OK") r:send_header("Content-Length", 5) r:send_data("12345") end
function cases.date(r) r:send_status("200 OK") r:send_header("Date", "today") end
function cases.close(r) r:send_status("200 OK") r:send_header("Connection", "close") end
function cases.keep(r) r:send_status("200 OK") r:send_header("connection", "Keep-Alive") end
function cases.flush(r) r:flush() r:send_status("200 OK") r:flush() r:send_data("a") r:flush() r:send_data("b") end
function cases.headers(r) r:send_status("200 OK") r:finish_headers() r:finish_headers() r:send_data("x") end
function cases.hints(r)
	r:send_status("103 Early Hints")
	r:send_header("Link", "</style.css>")
	r:finish_headers()
	r:send_status("200 OK")
	r:send_header("A", "b")
	r:send_data("body")
end
function cases.upgrade(r)
	r:send_status("426 Upgrade Required")
	r:send_header("Upgrade", "TLS/1.0")
	r:send_header("Connection", "Upgrade")
end
function cases.close_upgrade(r)
	r:send_status("426 Upgrade Required")
	r:send_header("Upgrade", "TLS/1.0")
	r:send_header("Connection", "close, upgrade")
end
function cases.long_head(r)
	r:send_status("200 OK")
	r:send_header("X-Long", ("x"):rep(tonumber(r.query:sub(2))))
	r:send_data("body")
end

listen{
	{ proto = "tcp4", port = 8080 },
	connect = http.generate_handler(function(request) cases[request.path](request) end)
}
