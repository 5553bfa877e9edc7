-- moonbridge.web.json: JSON, by cjson where it is installed, otherwise in Lua. An empty table is an object; json.array marks one
-- as a list. Numbers that JSON does not have, tables with holes and values that are none are errors.
local DEPTH = 100 -- of nested tables

local json = {}

local ok, cjson = pcall(require, "cjson")
cjson = ok and type(cjson) == "table" and cjson.new and cjson.new() or nil

-- What stands for null in tables.
json.null = cjson and cjson.null or setmetatable({}, { __tostring = function() return "null" end })

local array = {}

-- Marks a table as a list, so that an empty one becomes [].
function json.array(list)
	return setmetatable(list or {}, array)
end

local escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function quoted(s)
	return '"' .. s:gsub('[%z\1-\31"\\]', function(c) return escapes[c] or ("\\u%04x"):format(c:byte()) end) .. '"'
end

local function number(n)
	if n ~= n or n == math.huge or n == -math.huge then
		error("json: a number that JSON does not have: " .. tostring(n), 0)
	end
	if math.type and math.type(n) == "integer" or n % 1 == 0 and n > -2 ^ 53 and n < 2 ^ 53 then
		return ("%d"):format(n)
	end
	local short = ("%.14g"):format(n)
	return ((tonumber(short) == n and short or ("%.17g"):format(n)):gsub(",", ".")) -- a comma: the locale's
end

-- Is it a list? The length, or nil.
local function length(t)
	local n, largest = 0, 0
	for k in pairs(t) do
		if type(k) ~= "number" or k < 1 or k % 1 ~= 0 then
			return nil
		end
		n, largest = n + 1, math.max(largest, k)
	end
	if n ~= largest then
		error("json: a list with holes", 0)
	end
	return (n > 0 or getmetatable(t) == array) and n or nil
end

local encode

local function object(t, out, depth)
	local names = {}
	for k in pairs(t) do
		if type(k) ~= "string" then
			error("json: an object has a " .. type(k) .. " as a name", 0)
		end
		names[#names + 1] = k
	end
	table.sort(names)
	for i, name in ipairs(names) do
		out[#out + 1] = (i > 1 and "," or "{") .. quoted(name) .. ":"
		encode(t[name], out, depth + 1)
	end
	out[#out + 1] = #names > 0 and "}" or "{}"
end

function encode(value, out, depth)
	local kind = type(value)
	if depth > DEPTH then
		error("json: tables are nested too deeply", 0)
	elseif value == nil or value == json.null then
		out[#out + 1] = "null"
	elseif kind == "boolean" then
		out[#out + 1] = tostring(value)
	elseif kind == "number" then
		out[#out + 1] = number(value)
	elseif kind == "string" then
		out[#out + 1] = quoted(value)
	elseif kind == "table" then
		local n = length(value)
		if not n then
			return object(value, out, depth)
		end
		for i = 1, n do
			out[#out + 1] = i > 1 and "," or "["
			encode(value[i], out, depth + 1)
		end
		out[#out + 1] = n > 0 and "]" or "[]"
	else
		error("json: a value of type " .. kind, 0)
	end
end

-- The text for a value, the names of objects in order. Encoding is always done in Lua: cjson has neither lists that are empty nor
-- an order.
function json.encode(value)
	local out = {}
	encode(value, out, 1)
	return table.concat(out)
end

-- --- decoding in Lua ---------------------------------------------------------------

local decode

local function fail(at, what)
	error(("json: %s at byte %d"):format(what, at), 0)
end

local function skip(s, at)
	return s:find("[^ \t\r\n]", at) or #s + 1
end

local named = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", ['"'] = '"', ["\\"] = "\\", ["/"] = "/" }

local function utf8(n)
	if n < 0x80 then
		return string.char(n)
	elseif n < 0x800 then
		return string.char(0xc0 + math.floor(n / 64), 0x80 + n % 64)
	elseif n < 0x10000 then
		return string.char(0xe0 + math.floor(n / 4096), 0x80 + math.floor(n / 64) % 64, 0x80 + n % 64)
	end
	return string.char(0xf0 + math.floor(n / 262144), 0x80 + math.floor(n / 4096) % 64, 0x80 + math.floor(n / 64) % 64, 0x80 + n % 64)
end

-- The character of \uXXXX at a place, and the place after it. Characters beyond U+FFFF are two of them.
local function unicode(s, at)
	local hex = s:match("^\\u(%x%x%x%x)", at)
	local n = hex and tonumber(hex, 16)
	if not n or n >= 0xdc00 and n < 0xe000 then
		fail(at, "malformed escape")
	elseif n < 0xd800 or n >= 0xe000 then
		return utf8(n), at + 6
	end
	local second = s:match("^\\u(%x%x%x%x)", at + 6)
	local low = second and tonumber(second, 16)
	if not low or low < 0xdc00 or low >= 0xe000 then
		fail(at, "malformed escape")
	end
	return utf8(0x10000 + (n - 0xd800) * 1024 + low - 0xdc00), at + 12
end

local function text(s, at)
	local parts, from = {}, at + 1
	while true do
		local stop = s:find('[%z\1-\31"\\]', from)
		local c = stop and s:sub(stop, stop)
		if c ~= '"' and c ~= "\\" then
			fail(stop or #s + 1, "string without an end")
		end
		parts[#parts + 1] = s:sub(from, stop - 1)
		if c == '"' then
			return table.concat(parts), stop + 1
		end
		local letter = s:sub(stop + 1, stop + 1)
		if named[letter] then
			parts[#parts + 1], from = named[letter], stop + 2
		else
			parts[#parts + 1], from = unicode(s, stop)
		end
	end
end

local function list(s, at, depth)
	local result, n = json.array(), 0
	at = skip(s, at + 1)
	if s:sub(at, at) == "]" then
		return result, at + 1
	end
	while true do
		n = n + 1
		result[n], at = decode(s, at, depth + 1)
		at = skip(s, at)
		local c = s:sub(at, at)
		if c == "]" then
			return result, at + 1
		elseif c ~= "," then
			fail(at, "comma or ] expected")
		end
		at = skip(s, at + 1)
	end
end

local function members(s, at, depth)
	local result = {}
	at = skip(s, at + 1)
	if s:sub(at, at) == "}" then
		return result, at + 1
	end
	while true do
		if s:sub(at, at) ~= '"' then
			fail(at, "name expected")
		end
		local name
		name, at = text(s, at)
		at = skip(s, at)
		if s:sub(at, at) ~= ":" then
			fail(at, "colon expected")
		end
		result[name], at = decode(s, skip(s, at + 1), depth + 1)
		at = skip(s, at)
		local c = s:sub(at, at)
		if c == "}" then
			return result, at + 1
		elseif c ~= "," then
			fail(at, "comma or } expected")
		end
		at = skip(s, at + 1)
	end
end

local words = { t = { "true", true }, f = { "false", false }, n = { "null", json.null } }

function decode(s, at, depth)
	local c = s:sub(at, at)
	if depth > DEPTH then
		fail(at, "too deeply nested")
	elseif c == "{" then
		return members(s, at, depth)
	elseif c == "[" then
		return list(s, at, depth)
	elseif c == '"' then
		return text(s, at)
	elseif words[c] and s:sub(at, at + #words[c][1] - 1) == words[c][1] then
		return words[c][2], at + #words[c][1]
	end
	local whole = s:match("^-?0", at) or s:match("^-?[1-9]%d*", at)
	if not whole then
		fail(at, c == "" and "value expected" or "unexpected character")
	end
	local stop = at + #whole
	stop = stop + #(s:match("^%.%d+", stop) or "")
	stop = stop + #(s:match("^[eE][-+]?%d+", stop) or "")
	return tonumber(s:sub(at, stop - 1)), stop
end

local function decode_text(s)
	local value, at = decode(s, skip(s, 1), 1)
	at = skip(s, at)
	if at <= #s then
		fail(at, "unexpected character")
	end
	return value
end

if cjson then
	cjson.decode_max_depth(DEPTH)
	cjson.decode_invalid_numbers(false)
end

-- The value of a text, or nil and what is wrong with it.
function json.decode(s)
	local fine, value = pcall(cjson and cjson.decode or decode_text, s)
	if fine then
		return value
	end
	return nil, tostring(value)
end

-- For tests: the decoder in Lua.
json.decode_in_lua = decode_text

return json
