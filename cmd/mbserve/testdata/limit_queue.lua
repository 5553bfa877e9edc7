-- Raw connections for one worker, with one place in the queue. "wait" occupies the worker until the FIFO
-- given as argument is opened.
local fifo = ...

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	min_fork = 1, max_fork = 1, queue_limit = 1, queue_timeout = 0.4,
	connect = function(socket)
		local word = socket:read("*l")
		if word == "wait" then
			io.stderr:write("waiting\n")
			io.open(fifo):close()
		end
		socket:write(word, "\n")
	end,
}
