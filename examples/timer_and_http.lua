-- A timer and a web page, each in its own pool: the timer measures the load of this machine, and the page shows it.
--
--     mbserve examples/timer_and_http.lua [port [seconds [file]]]        # seconds between measurements; default 2
--
-- Then open http://127.0.0.1:8080/ in a browser, which refreshes the page, or:
--
--     curl http://127.0.0.1:8080/load.txt
--
-- Each call of listen creates a pool of worker processes with its own options. Processes share no variables, so the timer's
-- worker writes its measurements to a file, which the web workers read.
local http = require "moonbridge_http"

local port = tonumber(arg[1] or 8080) or error("the port must be a number, not " .. arg[1])
local delay = tonumber(arg[2] or 2) or error("the number of seconds must be a number, not " .. arg[2])

local KEPT = 60 -- measurements

local file_name = arg[3] or "moonbridge-load.txt"


-- The timer's side ----------------------------------------------------------------------------------------------------------

-- The average number of running and runnable processes over a minute.
local function measure()
	local file = io.open("/proc/loadavg") or assert(io.popen("LC_ALL=C uptime")) -- macOS and FreeBSD have no /proc
	local text = file:read("*a")
	file:close()
	return assert(tonumber(text:match("averages?: ([%d.]+)") or text:match("^[%d.]+")), "cannot read the load")
end

local history = {} -- in the timer's only worker

local function tick(socket)
	table.insert(history, os.date("%H:%M:%S ") .. measure())
	if #history > KEPT then table.remove(history, 1) end
	-- Written to a new file and renamed: a concurrent reader finds either the old or the new content, never a part.
	local file = assert(io.open(file_name .. ".new", "w"))
	assert(file:write(table.concat(history, "\n"), "\n"))
	assert(file:close())
	assert(os.rename(file_name .. ".new", file_name))
end

listen{
	{ proto = "interval", name = "measure", delay = delay, strict = true },
	max_fork = 1,
	connect = tick,
	finish = function() os.remove(file_name) end,
}


-- The page's side -----------------------------------------------------------------------------------------------------------

local function read_measurements()
	local file = io.open(file_name)
	if not file then return "" end -- no measurement yet
	local text = file:read("*a")
	file:close()
	return text
end

local PAGE = [[
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="{{refresh}}">
<title>Load: {{load}}</title>
<style>
:root { color-scheme: light dark; --ground: #f4f3ef; --card: #fff; --edge: #e2dfd6; --ink: #1b2038; --soft: #5d6380; --bar: #3f4bb0 }
@media (prefers-color-scheme: dark) { :root { --ground: #0d1124; --card: #161b34; --edge: #2a3054; --ink: #e8e9f4;
	--soft: #a0a6c8; --bar: #f0cd83 } }
body { max-width: 46rem; margin: 0 auto; padding: 2.5rem 1.2rem; background: var(--ground); color: var(--ink);
	font: 1rem/1.55 system-ui, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif }
main { padding: 1.4rem 1.5rem; background: var(--card); border: 1px solid var(--edge); border-radius: .9rem }
h1 { margin: 0; font-size: 1.2rem; color: var(--soft); font-weight: 500 }
.load { margin: 0 0 1rem; font-size: 3.4rem; font-weight: 650; line-height: 1.1; font-variant-numeric: tabular-nums }
svg { display: block; width: 100%; height: 9rem; border-bottom: 1px solid var(--edge) }
rect { fill: var(--bar) }
main p:last-child { margin: .8rem 0 0; color: var(--soft); font-size: .9rem }
</style>
</head>
<body>
<main>
<h1>Load of this machine</h1>
<p class="load">{{load}}</p>
<svg viewBox="0 0 {{kept}} 1" preserveAspectRatio="none" role="img" aria-label="The last measurements">{{bars}}</svg>
<p>{{note}}</p>
</main>
</body>
</html>
]]

local function highest_of(loads)
	local highest = 1
	for _, load in ipairs(loads) do highest = math.max(highest, load) end
	return highest
end

-- One bar for each measurement, the newest on the right.
local function draw(loads)
	local highest = highest_of(loads)
	local bars = {}
	for i, load in ipairs(loads) do
		local height = math.max(load / highest, 0.01)
		bars[i] = ('<rect x="%d" y="%.3f" width="0.8" height="%.3f"/>'):format(KEPT - #loads + i - 1, 1 - height, height)
	end
	return table.concat(bars)
end

local function page()
	local loads, last = {}, nil
	for time, load in read_measurements():gmatch("(%S+) (%S+)\n") do
		loads[#loads + 1], last = tonumber(load), time
	end
	local values = {
		refresh = math.max(1, math.floor(delay)),
		load = last and ("%.2f"):format(loads[#loads]) or "–",
		kept = KEPT,
		bars = draw(loads),
		note = last and ("Measured at %s, and every %g s. The full height is %.2f."):format(last, delay, highest_of(loads))
			or ("The first measurement comes %g s after the start."):format(delay),
	}
	return (PAGE:gsub("{{(%w+)}}", values))
end

local function handle(request)
	local content_type, content
	if request.path == "" then
		content_type, content = "text/html; charset=utf-8", page()
	elseif request.path == "load.txt" then
		content_type, content = "text/plain", read_measurements()
	else
		request:send_status("404 Not Found")
		request:send_data("There is nothing here but / and /load.txt\n")
		return request:finish()
	end
	request:send_status("200 OK")
	request:send_header("Content-Type", content_type)
	request:send_header("Cache-Control", "no-store")
	request:send_data(content)
	request:finish()
end

listen{
	{ proto = "tcp4", port = port, localhost = true },
	connect = http.generate_handler(handle),
}
