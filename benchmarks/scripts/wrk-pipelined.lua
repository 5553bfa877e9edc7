-- wrk's side of the workload "pipelined": 16 requests in one write, before the first answer. wrk counts each answer as a
-- request.

local requests

function init(args)
	requests = string.rep(wrk.format(), 16)
end

function request()
	return requests
end
