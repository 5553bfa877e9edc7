-- A pool with one worker whose handlers fork, in every kind of exchange. The children come back to the server's code.
local http = require "moonbridge_http"
local jit, ffi = pcall(require, "ffi")
local ticks, fifo = ...
if jit then ffi.cdef "int fork(void); void _exit(int);" end
local function forked() return jit and ffi.C.fork() == 0 end

listen{
	{ proto = "tcp4", port = 0, localhost = true, connect = http.generate_handler(function(request)
		local path = request.path
		if path == "fork" and forked() then
			return
		elseif path == "fail" and forked() then
			error("a mistake of the child")
		elseif path == "answer" and forked() then
			request:send_status("200 OK")
			request:send_data("an answer of the child")
			return
		elseif path == "stay" and forked() then
			io.open(fifo)
			ffi.C._exit(0)
		end
		request:send_status("200 OK")
		request:send_data(path == "ffi" and tostring(jit) or "answer of /" .. path)
	end) },
	{ proto = "tcp4", port = 0, localhost = true, connect = function(socket)
		for line in function() return (socket:read("*l")) end do
			if forked() then socket:write("an answer of the child\n") end
			socket:write("answer of ", line, "\n")
			socket:flush()
		end
	end },
	{ proto = "interval", delay = 0.01, connect = function()
		if forked() then return end
		local file = assert(io.open(ticks, "a"))
		file:write("tick\n")
		file:close()
	end },
	min_fork = 1, max_fork = 1,
	prepare = forked,
	finish = forked,
}
