-- moonbridge.test.client: the client of tests. A request goes through the server to a worker, as that of any other client does. The
-- connection is private: no port is needed.
local json = require "moonbridge.web.json"
local test = require "moonbridge.test"
local text = require "moonbridge.web.text"

local TIMEOUT = 10 -- seconds for a request
local REDIRECTS = 10 -- that redirects = true follows

local client = {}

-- What a request may have, and of which type.
local options = {
	method = "string", headers = "table", body = "string", form = "table", json = true, query = "table", redirects = true,
	timeout = "number", from = "string", pool = "number", listener = "number", cookies = "boolean",
}

local function check(given)
	for name, v in pairs(given) do
		local want = options[name]
		if not want then
			test.fail(("a request has no option %s; there are %s"):format(tostring(name), table.concat(text.names(options), ", ")))
		elseif want ~= true and type(v) ~= want then
			test.fail(("option %s of a request: %s expected, got %s"):format(name, want, type(v)))
		end
	end
	if (given.body and 1 or 0) + (given.form and 1 or 0) + (given.json ~= nil and 1 or 0) > 1 then
		test.fail("a request has only one of body, form and json")
	end
end

-- Names of fields are the same in small and in capital letters. Several of a name are joined by commas.
local fields = { __index = function(t, name) return type(name) == "string" and rawget(t, name:lower()) or nil end }

local response = {}
response.__index = response

-- Decodes the body.
function response:json()
	local decoded, err = json.decode(self.body)
	if err then
		test.fail("the body is not JSON: " .. tostring(err) .. "\n     got: " .. self.body:sub(1, 2000))
	end
	return decoded
end

local months = { Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6, Jul = 7, Aug = 8, Sep = 9, Oct = 10, Nov = 11, Dec = 12 }

-- Is the date of an Expires attribute over?
local function past(date)
	local day, month, year, hour, min, sec = date:match("(%d%d)[ -](%a%a%a)[ -](%d%d%d%d) (%d%d):(%d%d):(%d%d)")
	if not months[month] then
		return false
	end
	local now = os.date("!*t")
	local when = { tonumber(year), months[month], tonumber(day), tonumber(hour), tonumber(min), tonumber(sec) }
	for i, v in ipairs{ now.year, now.month, now.day, now.hour, now.min, now.sec } do
		if when[i] ~= v then
			return when[i] < v
		end
	end
	return true
end

-- Keeps a cookie, or removes it. Its path and its domain do not matter here: there is one application.
local function keep(cookies, line)
	local name, v, attributes = line:match("^%s*([^=;]+)=([^;]*)(.*)$")
	if not name then
		return
	end
	local age = attributes:lower():match(";%s*max%-age=(%-?%d+)")
	local expires = attributes:match(";%s*[Ee][Xx][Pp][Ii][Rr][Ee][Ss]=([^;]+)")
	if age and tonumber(age) <= 0 or not age and expires and past(expires) then
		cookies[name] = nil
	else
		cookies[name] = v
	end
end

local function cookie_line(cookies)
	local parts = {}
	for _, name in ipairs(text.names(cookies)) do
		parts[#parts + 1] = name .. "=" .. tostring(cookies[name])
	end
	return table.concat(parts, "; ")
end

-- The list of fields, name and value in turn, and which names are in it.
local function field_list(self, o)
	local list, has = {}, {}
	local function add(headers)
		for name, v in pairs(headers) do
			if not has[name:lower()] then
				for _, one in ipairs(type(v) == "table" and v or { v }) do
					list[#list + 1], list[#list + 2] = name, tostring(one)
				end
			end
		end
		for name in pairs(headers) do
			has[name:lower()] = true
		end
	end
	add(o.headers or {})
	add(self.headers)
	local function default(name, v)
		if not has[name:lower()] then
			add{ [name] = v }
		end
	end
	if o.form then
		default("Content-Type", "application/x-www-form-urlencoded")
	elseif o.json ~= nil then
		default("Content-Type", "application/json")
	end
	if o.cookies ~= false and next(self.cookies) then
		default("Cookie", cookie_line(self.cookies))
	end
	return list
end

local function body_of(o)
	if o.form then
		return text.query(o.form)
	elseif o.json ~= nil then
		return json.encode(o.json)
	end
	return o.body or ""
end

local function read(status, reason, body, ...)
	local r = setmetatable({
		status = tonumber(status), reason = reason, body = body, headers = setmetatable({}, fields), fields = {},
	}, response)
	local list = { ... }
	for i = 1, #list, 2 do
		local name, v = list[i]:lower(), list[i + 1]
		r.fields[#r.fields + 1] = { list[i], v }
		local old = rawget(r.headers, name)
		r.headers[name] = old and old .. ", " .. v or v
	end
	return r
end

-- One request, without redirects.
local function exchange(self, method, path, o)
	local function answer(outcome, ...)
		if outcome ~= "ok" then
			test.fail(method .. " " .. path .. ": " .. tostring((...)))
		end
		return read(...)
	end
	local list = field_list(self, o)
	local r = answer(self.ask("get", method, path, body_of(o), tostring(o.timeout or self.timeout), tostring(o.pool or 0),
		tostring(o.listener or 0), o.from or "", (table.unpack or unpack)(list)))
	if o.cookies ~= false then
		for _, f in ipairs(r.fields) do
			if f[1]:lower() == "set-cookie" then
				keep(self.cookies, f[2])
			end
		end
	end
	r.path = path
	return r
end

-- The path that a Location field means.
local function target(location, path)
	local absolute = location:match("^%a[%w+.-]*://[^/?#]*(.*)$") or location:match("^//[^/?#]*(.*)$")
	location = (absolute or location):gsub("#.*$", "")
	if absolute then
		return location:find("^/") and location or "/" .. location
	elseif location:find("^/") then
		return location
	elseif location:find("^%?") or location == "" then
		return path:gsub("%?.*$", "") .. location
	end
	return path:gsub("%?.*$", ""):gsub("[^/]*$", "") .. location
end

local moved = { [301] = true, [302] = true, [303] = true, [307] = true, [308] = true }

local function follow(self, r, method, o)
	local left = o.redirects == true and REDIRECTS or o.redirects or 0
	local path = r.path
	while moved[r.status] and r.headers.location and left > 0 do
		left = left - 1
		local again = {}
		for name, v in pairs(o) do
			again[name] = v
		end
		if r.status <= 303 and method ~= "HEAD" then
			method, again.body, again.form, again.json = "GET", nil, nil, nil
		end
		again.query, o = nil, again
		path = target(r.headers.location, path)
		r = exchange(self, method, path, again)
	end
	if moved[r.status] and r.headers.location and o.redirects and o.redirects ~= 0 then
		test.fail("more redirects than expected: the last one leads to " .. r.headers.location)
	end
	return r
end

-- Sends a request, and returns the response: status, reason, headers, fields, body, path.
function client:request(method, path, given)
	if type(path) ~= "string" or path == "" then
		test.fail("a request has a path: text expected, got " .. type(path))
	end
	local o = { redirects = self.redirects }
	for name, v in pairs(given or {}) do
		o[name] = v
	end
	check(o)
	if o.query and next(o.query) then
		path = path .. (path:find("?", 1, true) and "&" or "?") .. text.query(o.query)
	end
	return follow(self, exchange(self, method, path, o), method, o)
end

for _, method in ipairs{ "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS" } do
	client[method:lower()] = function(self, path, o)
		return self:request(method, path, o)
	end
end

local class = { __index = client }

-- A client can be called, as the argument get of the option selftest is.
function class:__call(path, o)
	return self:request(o and o.method or "GET", path, o)
end

return function(ask)
	return setmetatable({ ask = ask, cookies = {}, headers = {}, timeout = TIMEOUT }, class)
end
