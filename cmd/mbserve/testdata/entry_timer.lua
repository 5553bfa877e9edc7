-- Shows the argument of a timer's handler. The argument of the script is a delay.
listen{
	{ proto = "interval", delay = tonumber((...)) },
	{ proto = "interval", delay = tonumber((...)), name = "a name" },
	connect = function(socket)
		io.stderr:write("tick [", socket.interval, "] ", tostring(socket.remote_ip4), " ", tostring(socket.nothing), "\n")
		socket.mine = "field"
		io.stderr:write("own ", socket.mine, "\n")
	end,
}
