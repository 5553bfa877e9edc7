-- Writes the number of bytes and closes with the timeout that the client requests, then shows the result.
listen{
	{ proto = "tcp4", port = 0, localhost = true },
	connect = function(socket)
		local size, timeout = socket:read("*n", "*n")
		socket:write(("x"):rep(size))
		local ok, message = socket:close(timeout)
		io.stderr:write("close: ", tostring(ok), " ", tostring(message), "\n")
	end,
}
