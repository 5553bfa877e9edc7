-- moonbridge.web.router: finds what belongs to a path. A segment of a pattern is a text, :name, which stands for any segment that
-- is not empty, or at the end *name, which stands for the rest. A text counts before :name, and that before *name.
local text = require "moonbridge.web.text"

local router = {}
router.__index = router

local function split(path)
	local parts = {}
	for part in (path .. "/"):gmatch("([^/]*)/") do
		parts[#parts + 1] = part
	end
	return parts
end

-- A node has texts (by segment), one, rest (nodes), and what belongs to the path that ends in it: its values by key, and the names
-- of the pattern.
local function node()
	return { texts = {}, values = {} }
end

function router.new()
	return setmetatable({ root = node() }, router)
end

local function step(at, part, last, names, pattern)
	local kind, name = part:match("^([:*])([%a_][%w_]*)$")
	if not kind then
		if part:find("^[:*]") then
			error(("route %q: a name of letters, digits and _ is missing"):format(pattern), 0)
		end
		at.texts[part] = at.texts[part] or node()
		return at.texts[part]
	end
	names[#names + 1] = name
	if kind == "*" and not last then
		error(("route %q: *%s has to be last"):format(pattern, name), 0)
	end
	local field = kind == ":" and "one" or "rest"
	at[field] = at[field] or node()
	return at[field]
end

-- Adds a value for a pattern, under a key such as the method.
function router:add(key, pattern, value)
	if pattern:sub(1, 1) ~= "/" then
		error(("route %q: it has to begin with a slash"):format(pattern), 0)
	end
	local at, names, parts = self.root, {}, split(pattern:sub(2))
	for i, part in ipairs(parts) do
		at = step(at, part, i == #parts, names, pattern)
	end
	if at.values[key] then
		error(("route %q: %s is given twice"):format(pattern, key), 0)
	end
	at.values[key] = { value = value, names = names }
	return self
end

local function walk(at, parts, i, found)
	if i > #parts then
		return next(at.values) and at or nil
	end
	local part, rest = parts[i], nil
	local result = at.texts[part] and walk(at.texts[part], parts, i + 1, found)
	if not result and at.one and part ~= "" then
		found[#found + 1] = part
		result = walk(at.one, parts, i + 1, found)
		if not result then
			found[#found] = nil
		end
	end
	if not result and at.rest then
		rest = table.concat(parts, "/", i)
		found[#found + 1], result = rest, at.rest
	end
	return result
end

local SEGMENTS = 100 -- of a path

-- Finds the values of a path as the client has sent it, without its leading slash: a table by key, and a function that gives the
-- parameters of one of them. nil if there are none.
function router:find(path)
	local parts, found = split(path), {}
	if #parts > SEGMENTS then
		return nil
	end
	for i, part in ipairs(parts) do
		parts[i] = part:find("%%") and text.decode(part) or part
	end
	local at = walk(self.root, parts, 1, found)
	if not at then
		return nil
	end
	return at.values, function(entry)
		local params = {}
		for i, name in ipairs(entry.names) do
			params[name] = found[i]
		end
		return params
	end
end

return router
