-- A calculator on a plain TCP connection, used line by line: a custom protocol, without HTTP. Try it:
--
--     mbserve examples/lines.lua [port]
--
--     $ nc 127.0.0.1 7000
--     OK calculator, HELP tells more
--     1 + 2 * (3 - 0.5)
--     = 6
--     ans / 4
--     = 1.5
--     1 +
--     ERROR a number is missing at the end
--     QUIT
--     OK bye
--
-- The connect handler has the socket to itself until it returns: a worker serves one connection at a time. Hence
-- the limits on time, on the length of a line, and on the number of workers.
local port = tonumber(arg[1] or 7000) or error("the port must be a number, not " .. arg[1])

local LINE_MAX = 200 -- bytes, including the line feed
local PATIENCE = 60 -- seconds to wait for a line; after that the connection ends, which frees the worker

local HELP = [[
+ 1 + 2 * (3 - 0.5)   calculates; there are + - * / ^ % and brackets
+ ans                 is the last result
+ QUIT                ends the connection, and so does the end of your input
OK
]]


-- Arithmetic ------------------------------------------------------------------------------------------------------------------

-- An expression is read from left to right. `input` holds the text and the current position.
local sum -- defined below, since brackets contain sums

local function fail(input, what)
	local rest = input.text:sub(input.at)
	error({ message = what .. (rest == "" and " at the end" or " before '" .. rest .. "'") }, 0)
end

-- Skips a match of the pattern and the spaces after it; returns the match, or nil.
local function take(input, pattern)
	local piece, after = input.text:match("^(" .. pattern .. ")%s*()", input.at)
	if piece then input.at = after end
	return piece
end

local function operand(input)
	if take(input, "%(") then
		local value = sum(input)
		if not take(input, "%)") then fail(input, "a ')' is missing") end
		return value
	end
	if take(input, "ans") then return input.ans end
	local digits = take(input, "%d+%.?%d*") or take(input, "%.%d+")
	return digits and tonumber(digits) or fail(input, "a number is missing")
end

local function power(input)
	if take(input, "%-") then return -power(input) end
	local value = operand(input)
	return take(input, "%^") and value ^ power(input) or value
end

local function product(input)
	local value = power(input)
	while true do
		local operator = take(input, "[*/%%]")
		if not operator then return value end
		local other = power(input)
		if operator == "*" then value = value * other end
		if operator == "/" then value = value / other end
		if operator == "%" then value = value % other end
	end
end

function sum(input)
	local value = product(input)
	while true do
		local operator = take(input, "[+-]")
		if not operator then return value end
		value = operator == "+" and value + product(input) or value - product(input)
	end
end

-- Returns the value of an expression, or nil and an error message.
local function calculate(text, ans)
	local input = { text = text, at = 1, ans = ans }
	local good, value = pcall(function()
		local value = sum(input)
		return input.at > #text and value or fail(input, "an operator is missing")
	end)
	if good then return value end
	if type(value) == "table" then return nil, value.message end
	error(value, 0) -- a mistake in this script, not in the line
end


-- The protocol ----------------------------------------------------------------------------------------------------------------

local function handle(socket)
	local ans = 0
	socket:write("OK calculator, HELP tells more\n")
	while true do
		socket:flush() -- send what was written before waiting
		timeout(PATIENCE)
		local line = socket:readuntil("\n", LINE_MAX)
		if not line then return end -- the client has closed its side, or is gone
		if #line == LINE_MAX and line:sub(-1) ~= "\n" then
			socket:write("ERROR a line has at most ", LINE_MAX - 1, " bytes\n")
			return -- the start of the next line is unknown
		end
		line = line:match("^%s*(.-)%s*$") -- without surrounding spaces and the line end (LF or CR LF)
		local command = line:upper()
		if command == "QUIT" then
			socket:write("OK bye\n")
			return
		elseif command == "HELP" then
			socket:write(HELP)
		elseif line ~= "" then
			local value, message = calculate(line, ans)
			if value then
				ans = value
				socket:write("= ", ("%.14g"):format(value), "\n")
			else
				socket:write("ERROR ", (message:gsub("[%c\128-\255]", "?")), "\n")
			end
		end
	end
end

listen{
	{ proto = "tcp4", port = port, localhost = true },
	max_fork = 32, -- simultaneous connections; more of them wait
	connect = handle,
}
