-- moonbridge.web.text: text in other codings. All functions take and return strings of bytes.
local http = require "moonbridge_http"

local text = {}

local entities = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

-- HTML that escape leaves as it is. It is made by raw only.
local raw = { __tostring = function(self) return self[1] end }

-- Marks a text as HTML.
function text.raw(html)
	return setmetatable({ tostring(html) }, raw)
end

-- Escapes a value for HTML, in elements and in quoted attributes. nil is nothing.
function text.escape(value)
	if value == nil then
		return ""
	elseif getmetatable(value) == raw then
		return value[1]
	end
	return (tostring(value):gsub("[&<>\"']", entities))
end

-- Percent-encodes everything but letters, digits and -._~, so that the result can be a part of a path or a query.
function text.encode(value)
	return http.encode_uri(tostring(value))
end

local function byte(hex)
	return string.char(tonumber(hex, 16))
end

-- Decodes a part of a path: a plus sign stays one.
function text.decode(value)
	return (value:gsub("%%(%x%x)", byte))
end

-- The names in a table, in order.
function text.names(values)
	local names = {}
	for name in pairs(values) do
		names[#names + 1] = name
	end
	table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
	return names
end

-- Makes a query from a table: its names in order, and for a list of values the name several times.
function text.query(values)
	local parts = {}
	for _, name in ipairs(text.names(values)) do
		local list = values[name]
		for _, value in ipairs(type(list) == "table" and list or { list }) do
			parts[#parts + 1] = text.encode(name) .. "=" .. text.encode(value)
		end
	end
	return table.concat(parts, "&")
end

function text.hex(bytes)
	return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

local digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

-- Base64 with the alphabet for URLs and without padding (RFC 4648 §5).
function text.base64(bytes)
	local out = {}
	for i = 1, #bytes, 3 do
		local a, b, c = bytes:byte(i, i + 2)
		local n = a * 65536 + (b or 0) * 256 + (c or 0)
		for shift = 1, (c and 4) or (b and 3) or 2 do
			local digit = math.floor(n / 64 ^ (4 - shift)) % 64 + 1
			out[#out + 1] = digits:sub(digit, digit)
		end
	end
	return table.concat(out)
end

local values = {}
for i = 1, 64 do
	values[digits:byte(i)] = i - 1
end

-- The opposite. nil if the text is not what base64 makes.
function text.unbase64(coded)
	if #coded % 4 == 1 then
		return nil
	end
	local out = {}
	for i = 1, #coded, 4 do
		local n, count = 0, math.min(4, #coded - i + 1)
		for k = 0, 3 do
			local value = k < count and values[coded:byte(i + k)] or k >= count and 0
			if not value then
				return nil
			end
			n = n * 64 + value
		end
		local a, b, c = math.floor(n / 65536), math.floor(n / 256) % 256, math.floor(n) % 256
		out[#out + 1] = string.char(a, b, c):sub(1, count - 1)
	end
	local bytes = table.concat(out)
	return text.base64(bytes) == coded and bytes or nil
end

return text
