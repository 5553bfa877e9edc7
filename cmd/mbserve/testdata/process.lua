-- What a handler may do as a process: start other processes, write to standard output, change its directory. The query is a command.
local http = require "moonbridge_http"

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	connect = http.generate_handler(function(request)
		request:send_status("200 OK")
		if request.path == "popen" then
			local p = io.popen(request.get_params.c)
			request:send_data(p:read("*a"))
			p:close()
		elseif request.path == "execute" then
			local status, how, code = os.execute(request.get_params.c)
			if how then status = how == "exit" and code * 256 or code end -- Lua 5.4; LuaJIT returns the value of waitpid
			request:send_data(status)
		else
			print("printed", request.get_params.c)
		end
	end),
}
