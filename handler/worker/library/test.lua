-- moonbridge.test: tests of an application, as "mbserve test" and --selftest run them. docs/testing.md describes it.
local value = require "moonbridge.test.value"

local test = {
	cases = {}, -- { name, function, where }
}

-- What an assertion raises. Its metatable tells it from the errors of other code.
local failure = { __tostring = function(self) return self.message end }
test.failure = failure

-- The place in the tests that has called the library: "tests.lua:12".
local function place()
	for level = 3, 30 do
		local info = debug.getinfo(level, "Sl")
		if not info then
			return nil
		elseif info.currentline > 0 and not info.source:find("^=moonbridge%.test") then
			return info.short_src .. ":" .. info.currentline
		end
	end
end

local function fail(message, what)
	error(setmetatable({ message = what and tostring(what) .. "\n" .. message or message, where = place() }, failure), 0)
end

-- Fails.
function test.fail(message)
	fail(message == nil and "test.fail was called" or tostring(message))
end

-- Ends the test. It counts as skipped.
function test.skip(reason)
	error(setmetatable({ skipped = true, message = reason and tostring(reason) or "" }, failure), 0)
end

local function both(got, expected)
	return "expected: " .. value.show(expected) .. "\n     got: " .. value.show(got)
end

-- The two values must be equal. Tables are if all that is in them is.
function test.equal(got, expected, what)
	local path, x, y = value.differ(got, expected)
	if path == "" then
		fail(both(got, expected), what)
	elseif path then
		fail("at " .. path .. "\n" .. both(x, y), what)
	end
	return got
end

function test.not_equal(got, unexpected, what)
	if not value.differ(got, unexpected) then
		fail("expected: anything but " .. value.show(unexpected), what)
	end
	return got
end

-- The value must be neither nil nor false.
function test.ok(got, what)
	if not got then
		fail("expected: neither nil nor false\n     got: " .. value.show(got), what)
	end
	return got
end

-- The text must contain another one.
function test.contains(text, part, what)
	if type(text) ~= "string" or not text:find(part, 1, true) then
		fail("expected: a text with " .. value.show(part) .. "\n     got: " .. value.show(text), what)
	end
	return text
end

function test.lacks(text, part, what)
	if type(text) ~= "string" or text:find(part, 1, true) then
		fail("expected: a text without " .. value.show(part) .. "\n     got: " .. value.show(text), what)
	end
	return text
end

-- The text must match a pattern. Returns what string.match returns.
function test.matches(text, pattern, what)
	local found = type(text) == "string" and { text:match(pattern) } or {}
	if found[1] == nil then
		fail("expected: a text that matches " .. value.show(pattern) .. "\n     got: " .. value.show(text), what)
	end
	return (table.unpack or unpack)(found)
end

-- The function must raise an error, whose text must match a pattern if there is one. Returns the error.
function test.raises(run, pattern, what)
	local ok, err = pcall(run)
	if ok then
		fail("expected: an error\n     got: none", what)
	elseif pattern and not tostring(err):find(pattern) then
		fail("expected: an error that matches " .. value.show(pattern) .. "\n     got: " .. value.show(tostring(err)), what)
	end
	return err
end

-- Adds a test. The function gets a client, which has no cookies yet.
function test.case(name, run)
	if type(name) ~= "string" or name == "" or type(run) ~= "function" then
		error('test.case: a name and a function expected, as in test.case("it greets", function(client) … end)', 2)
	end
	test.cases[#test.cases + 1] = { name = name, run = run, where = place() }
end

return test
