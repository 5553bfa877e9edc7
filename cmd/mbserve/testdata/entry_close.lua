-- Writes as many bytes as the client asks for, and closes with the timeout that it asks for; then says how that went.
listen{
	{ proto = "tcp4", port = 0, localhost = true },
	connect = function(socket)
		local size, timeout = socket:read("*n", "*n")
		socket:write(("x"):rep(size))
		local ok, message = socket:close(timeout)
		io.stderr:write("close: ", tostring(ok), " ", tostring(message), "\n")
	end,
}
