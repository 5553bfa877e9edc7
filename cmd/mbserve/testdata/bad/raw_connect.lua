listen{
	{ proto = "tcp4", port = 0 },
	connect = function(socket) socket:close() end,
}
