-- Pages that the server keeps. Each says how often any handler was called in its worker. The argument is a file that tells
-- what handlers have done; a worker waits in /slow and /fatal until another file exists.
local http = require "moonbridge_http"
local cache = require "moonbridge_cache"
local moonbridge_io = require "moonbridge_io"
local file = ...

local function note(text)
	local f = assert(io.open(file, "a"))
	f:write(text, "\n")
	f:close()
end

local function await(name)
	while true do
		local f = io.open(file .. name)
		if f then
			f:close()
			return
		end
		moonbridge_io.poll(nil, nil, 0.005)
	end
end

local calls = 0

local pages = {}

function pages.page(request)
	return "page " .. calls
end

function pages.key(request)
	return request:cache_key()
end

function pages.long(request)
	return ("0123456789abcdef"):rep(5000)
end

function pages.slow(request)
	note "slow"
	await ".slow"
	return "slow " .. calls
end

-- The first call kills its worker, and so does the second try. Later ones succeed.
function pages.fatal(request)
	note "fatal"
	await ".fatal"
	local f = io.open(file .. ".cured")
	if not f then
		os.exit(7)
	end
	f:close()
	return "cured"
end

function pages.fail(request)
	error "as planned"
end

local function purge(request)
	local key = request.get_params.key
	if key then
		assert(cache.purge(key))
	else
		assert(cache.purge_prefix(request.get_params.prefix))
	end
end

local function answer(request)
	calls = calls + 1
	if request.method == "POST" and request.path == "edited" then
		note "edits"
		await ".edited"
	end
	if request.method == "POST" or request.path == "purge" then
		if request.path == "purge" then
			purge(request)
		end
		request:send_status("303 See Other")
		request:send_header("Location", "/other")
		return
	end
	if request.headers_value["if-none-match"] == '"v"' and request.path == "valid" then
		note "valid"
		request:send_status("304 Not Modified")
		request:send_header("ETag", '"v"')
		request:send_header("Cache-Control", "max-age=0, stale-while-revalidate=1000")
		return
	end
	local text = (pages[request.path] or pages.page)(request)
	request:send_status("200 OK")
	request:send_header("Content-Type", "text/plain")
	request:send_header("Cache-Control", request.get_params.control or "s-maxage=1000")
	if request.path == "valid" then
		request:send_header("ETag", '"v"')
	end
	if request.path == "finish" then
		request:send_data(text)
		request:finish()
		note "finished"
		return
	end
	request:send_data(text)
end

local handler = http.generate_handler({ cache = { bytes = 1e6, entry_bytes = 1e5, cache_status = true }, compress = true }, answer)

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	{ proto = "tcp4", port = 0, localhost = true },
	{ proto = "tcp4", port = 0, localhost = true, connect = http.generate_handler({ cache = true }, answer) },
	{ proto = "tcp4", port = 0, localhost = true, connect = http.generate_handler(answer) },
	{ proto = "interval", name = "purger", delay = 0.02, connect = function()
		local f = io.open(file .. ".tick")
		if f then
			f:close()
			os.remove(file .. ".tick")
			assert(cache.purge_prefix(""))
			note "purged"
		end
	end },
	connect = handler,
	prepare = function() assert(cache.purge("no such key")) end,
	max_fork = 4,
}
