-- /name runs a case; what its error says is the response.
local http = require "moonbridge_http"

local cases = {}

function cases.status_twice(r) r:send_status("200 OK") r:send_status("404 Not Found") end
function cases.header_before_status(r) r:send_header("A", "b") end
function cases.data_before_status(r) r:send_data("x") end
function cases.finish_before_status(r) r:finish() end
function cases.headers_before_status(r) r:finish_headers() end
function cases.header_after_data(r) r:send_status("200 OK") r:send_data("x") r:send_header("A", "b") end
function cases.header_after_headers(r) r:send_status("200 OK") r:finish_headers() r:send_header("A", "b") end
function cases.status_after_data(r) r:send_status("200 OK") r:send_data("x") r:send_status("200 OK") end
function cases.crlf_value(r) r:send_status("200 OK") r:send_header("A", "b\r\nC: d") end
function cases.crlf_name(r) r:send_status("200 OK") r:send_header("A\nB", "c") end
function cases.nul_value(r) r:send_status("200 OK") r:send_header("A", "b\0c") end
function cases.control_value(r) r:send_status("200 OK") r:send_header("A", "b\1c") end
function cases.del_value(r) r:send_status("200 OK") r:send_header("A", "b\127c") end
function cases.name_no_token(r) r:send_status("200 OK") r:send_header("A b", "c") end
function cases.name_empty(r) r:send_status("200 OK") r:send_header("", "c") end
function cases.length_no_number(r) r:send_status("200 OK") r:send_header("Content-Length", "x") end
function cases.length_twice(r)
	r:send_status("200 OK") r:send_header("Content-Length", 1) r:send_header("content-length", 1)
end
function cases.transfer_encoding(r) r:send_status("200 OK") r:send_header("Transfer-Encoding", "chunked") end
function cases.head_too_long(r) r:send_status("200 OK") r:send_header("A", ("x"):rep(300000)) end
function cases.status_text(r) r:send_status("OK") end
function cases.status_short(r) r:send_status("20") end
function cases.status_long(r) r:send_status("2000") end
function cases.status_crlf(r) r:send_status("200 OK\r\nA: b") end
function cases.status_control(r) r:send_status("200 O\27K") end
function cases.status_600(r) r:send_status("600 x") end
function cases.status_type(r) r:send_status({}) end
function cases.status_101(r) r:send_status("101 Switching Protocols") end
function cases.bodiless_data(r) r:send_status("204 No Content") r:send_data("x") end
function cases.interim_data(r) r:send_status("103 Early Hints") r:send_data("x") end
function cases.interim_finish(r) r:send_status("103 Early Hints") r:finish() end
function cases.no_self(r) r.send_status("200 OK") end
function cases.length_more(r) r:send_status("200 OK") r:send_header("Content-Length", 3) r:send_data("1234") end
function cases.length_less(r) r:send_status("200 OK") r:send_header("Content-Length", 3) r:send_data("12") r:finish() end
function cases.handler_called() http.generate_handler(print)({}) end
function cases.listen_called() listen{} end

local last

function cases.kept(r) return last.path end

listen{
	{ proto = "tcp4", port = 8080 },
	connect = http.generate_handler(function(request)
		local ok, message = pcall(cases[request.path], request)
		last = request
		-- The request is still usable: what remains to be sent is sent.
		if not pcall(request.send_status, request, "200 OK") then
			pcall(request.send_header, request, "X-Message", (tostring(message):gsub("%c", "?")))
			if request.path == "length_more" then request:send_data("123") end
			if request.path == "length_less" then request:send_data("3") end
			pcall(request.finish_headers, request)
			pcall(request.send_status, request, "200 OK")
			pcall(request.send_data, request, message)
		else
			request:send_data(message)
		end
		request:finish()
		request:finish()
	end)
}
