-- The path says what the handler does, step by step: "/status=200/data=5/finish/wait". "wait" waits for a line from the file
-- named as the script's argument.
local http = require "moonbridge_http"
local fifo = ...

local steps = {}
function steps.status(request, code) request:send_status(code .. " X") end
function steps.length(request, n) request:send_header("Content-Length", n) end
function steps.long(request, n) request:send_header("X-Long", ("x"):rep(n)) end
function steps.data(request, n) request:send_data(("d"):rep(n)) end
function steps.headers(request) request:finish_headers() end
function steps.flush(request) request:flush() end
function steps.finish(request) request:finish() end
function steps.cancel(request) request.socket:cancel() end
function steps.body(request) io.stderr:write("body of ", #request.body, " bytes\n") end
function steps.say(request, word) io.stderr:write(word, "\n") end
function steps.fail(request) error("too late") end
function steps.caught(request) io.stderr:write(select(2, pcall(request.flush, request)), "\n") end
function steps.forever(request, what)
	while true do
		if what == "data" then request:send_data("more") end
		request:flush()
	end
end
function steps.overtime(request) timeout(0.05) while true do end end
function steps.wait(request)
	local f = assert(io.open(fifo))
	f:read("*l")
	f:close()
end

listen{
	{ proto = "tcp4", port = 8080 },
	connect = http.generate_handler(function(request)
		for step, value in request.path:gmatch("([^/=]+)=?([^/]*)") do steps[step](request, value) end
	end)
}
