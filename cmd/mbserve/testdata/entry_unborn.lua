-- prepare fails in every worker. The argument is fork_error_delay.
listen{
	{ proto = "interval", delay = 3600 },
	min_fork = 1, max_fork = 1, fork_error_delay = tonumber((...)),
	prepare = function() error("not now") end,
	connect = function() end,
}
