-- What the handler of a timer is given. The argument is a delay.
listen{
	{ proto = "interval", delay = tonumber((...)) },
	{ proto = "interval", delay = tonumber((...)), name = "a name" },
	connect = function(socket)
		io.stderr:write("tick [", socket.interval, "] ", tostring(socket.remote_ip4), " ", tostring(socket.nothing), "\n")
		socket.mine = "field"
		io.stderr:write("own ", socket.mine, "\n")
	end,
}
