listen{
	{ proto = "interval", delay = 1, connect = function() end },
	prepare = function() error("no database") end
}
