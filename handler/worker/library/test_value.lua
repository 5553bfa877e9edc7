-- moonbridge.test.value: values in the messages of tests: how they are shown, and where two of them differ.
local SHOWN = 2000 -- bytes of a string, or of a table
local DEPTH = 6 -- of nested tables

local value = {}

local function cut(s)
	return #s > SHOWN and s:sub(1, SHOWN) .. ("… (%d more bytes)"):format(#s - SHOWN) or s
end

local escapes = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ['"'] = '\\"', ["\\"] = "\\\\" }

local function quoted(s)
	return '"' .. cut(s):gsub('[%z\1-\31\127"\\]', function(c) return escapes[c] or ("\\%03d"):format(c:byte()) end) .. '"'
end

-- Numbers first, then strings, then the rest.
local function before(a, b)
	local ta, tb = type(a), type(b)
	if ta ~= tb then
		return ta < tb
	elseif ta == "number" or ta == "string" then
		return a < b
	end
	return tostring(a) < tostring(b)
end

local function keys(t)
	local list = {}
	for k in pairs(t) do
		list[#list + 1] = k
	end
	table.sort(list, before)
	return list
end

local function name(k)
	return type(k) == "string" and k:find("^[%a_][%w_]*$") and k or "[" .. value.show(k) .. "]"
end

local function table_text(t, depth)
	if depth > DEPTH then
		return "{…}"
	end
	local parts, n = {}, 0
	for _, k in ipairs(keys(t)) do
		local shown = value.show(t[k], depth + 1)
		if k == n + 1 then
			n = k
		else
			shown = name(k) .. " = " .. shown
		end
		parts[#parts + 1] = shown
	end
	return #parts == 0 and "{}" or cut("{ " .. table.concat(parts, ", ") .. " }")
end

-- Shows a value in one line.
function value.show(v, depth)
	if type(v) == "string" then
		return quoted(v)
	elseif type(v) == "table" and not (getmetatable(v) or {}).__tostring then
		return table_text(v, depth or 1)
	end
	return tostring(v)
end

-- Returns where two values differ first: a path such as ".items[2]", and the two values there. nil: they are equal. Tables are equal
-- if all that is in them is.
function value.differ(a, b, path, seen)
	path, seen = path or "", seen or {}
	if type(a) ~= "table" or type(b) ~= "table" then
		if a == b or a ~= a and b ~= b then
			return nil
		end
		return path, a, b
	end
	if a == b or seen[a] == b then
		return nil
	end
	seen[a] = b
	local all = {}
	for k in pairs(a) do all[k] = true end
	for k in pairs(b) do all[k] = true end
	for _, k in ipairs(keys(all)) do
		local at = name(k)
		local where, x, y = value.differ(a[k], b[k], path .. (at:find("^%[") and at or "." .. at), seen)
		if where then
			return where, x, y
		end
	end
	return nil
end

return value
