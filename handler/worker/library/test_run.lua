-- moonbridge.test.run: runs tests in a tester. The server hears of each with ask, the function of process_tester.c.
local test = require "moonbridge.test"
local new_client = require "moonbridge.test.client"

-- The part of a traceback that is not about this library.
local function shorten(traceback)
	local lines = {}
	for line in traceback:gmatch("[^\n]+") do
		if line:find("moonbridge%.test") then
			break
		end
		lines[#lines + 1] = line
	end
	while #lines > 0 and (lines[#lines]:find("%[C%]: ") or lines[#lines]:find("^stack traceback:")) do
		lines[#lines] = nil
	end
	return table.concat(lines, "\n")
end

-- A message handler: an error of other code gets its traceback.
local function explain(err)
	if getmetatable(err) == test.failure then
		return err
	end
	local message = tostring(err)
	return { message = message, where = message:match("^([^\n:]+:%d+): "), traceback = shorten(debug.traceback("", 2)) }
end

local function run(ask, name, where, body)
	ask("begin", name)
	local ok, err = xpcall(body, explain)
	if type(err) ~= "table" then -- there was no room left for the message handler
		err = { message = tostring(err) }
	end
	if ok then
		ask("passed", name)
	elseif err.skipped then
		ask("skipped", name, err.message)
	else
		ask("failed", name, err.where or where or "", err.message, err.traceback or "")
	end
end

local function run_file(ask, file)
	local chunk, err = loadfile(file)
	if not chunk then
		ask("broken", err, "")
		return
	end
	local ok
	ok, err = xpcall(chunk, explain)
	if not ok then
		err = type(err) == "table" and err or { message = tostring(err) }
		ask("broken", err.message, err.traceback or "")
	elseif #test.cases == 0 then
		ask("broken", file .. ": it has no test.case", "")
	end
	for _, case in ipairs(ok and test.cases or {}) do
		run(ask, case.name, case.where, function() case.run(new_client(ask)) end)
	end
end

-- what is the path of a file with tests, or the option selftest of a pool.
return function(ask, what)
	if type(what) == "string" then
		run_file(ask, what)
	else
		run(ask, "selftest", nil, function() what(new_client(ask)) end)
	end
end
