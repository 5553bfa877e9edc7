listen{
	{ proto = "interval", delay = 1, connect = function() listen{} end },
}
