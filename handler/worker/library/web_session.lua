-- moonbridge.web.session: data of a visitor between requests. It is in a signed cookie, where the visitor can read but not change it,
-- or in a dictionary of the server, and then the cookie has only its name.
local cookie = require "moonbridge.web.cookie"
local crypto = require "moonbridge_crypto"
local json = require "moonbridge.web.json"
local shared = require "moonbridge_shared"
local text = require "moonbridge.web.text"

local session = {}

local COOKIE_MAX = 4000 -- bytes of a cookie that browsers accept, with its name
local ID_BYTES = 24

-- A store has load(c) → data and how old it is as a part of max_age; save(c, data), and drop(c).
local in_cookie, in_dictionary = {}, {}
in_cookie.__index, in_dictionary.__index = in_cookie, in_dictionary

function in_cookie:load(c)
	local value, expires = cookie.verify(self.secret, self.name, c:cookie(self.name))
	local data = value and json.decode(value)
	if type(data) == "table" then
		return data, 1 - (expires - os.time()) / self.max_age
	end
end

function in_cookie:save(c, data)
	local value = cookie.sign(self.secret, self.name, json.encode(data), self.max_age)
	if #value > COOKIE_MAX then
		error(('session: %d bytes do not fit into a cookie: use store = "dictionary"'):format(#value), 0)
	end
	self:set(c, value, self.max_age)
end

function in_cookie:set(c, value, max_age)
	local o = self.options
	c:set_cookie(self.name, value, { max_age = max_age, secure = o.secure, same_site = o.same_site, domain = o.domain, path = o.path })
end

function in_cookie:drop(c)
	if c:cookie(self.name) then
		self:set(c, "", 0)
	end
end

in_cookie.renew = function() end

-- The key is a hash of what the visitor has: who can read the dictionary cannot take over a session.
local function key_of(id)
	return "session " .. text.base64(crypto.sha256(id))
end

local function id_of(self, c)
	local id = c:cookie(self.name)
	return id and #id == 32 and id or nil
end

function in_dictionary:load(c)
	local id = id_of(self, c)
	local value = id and self.dictionary:get(key_of(id))
	local data = type(value) == "string" and json.decode(value)
	if type(data) == "table" then
		c.session_id = id
		return data, 1 - (self.dictionary:ttl(key_of(id)) or 0) / self.max_age
	end
end

function in_dictionary:save(c, data)
	local id = c.session_id or text.base64(crypto.random(ID_BYTES))
	local ok, message = self.dictionary:set(key_of(id), json.encode(data), self.max_age)
	if not ok then
		error("session: " .. message, 0)
	end
	c.session_id = id
	self:set(c, id, self.max_age)
end

in_dictionary.set = in_cookie.set

function in_dictionary:drop(c)
	local id = id_of(self, c)
	if id then
		self.dictionary:delete(key_of(id))
		self:set(c, "", 0)
	end
end

-- A new name for the same data: whoever knows the old one has nothing any more.
function in_dictionary:renew(c)
	if c.session_id then
		self.dictionary:delete(key_of(c.session_id))
		c.session_id = nil
	end
end

-- Options: store ("cookie" or "dictionary"), name ("session"), max_age (two weeks), size of the dictionary ("8M"), and secure,
-- same_site, domain and path of the cookie.
function session.new(secret, options)
	options = options or {}
	local self = {
		secret = secret, options = options, name = options.name or "session", max_age = options.max_age or 14 * 24 * 3600,
	}
	if (options.store or "cookie") == "cookie" then
		return setmetatable(self, in_cookie)
	elseif options.store ~= "dictionary" then
		error('session: store is "cookie" or "dictionary"', 0)
	end
	self.dictionary = shared.shared("moonbridge sessions " .. self.name, options.size or "8M", { keep = true })
	return setmetatable(self, in_dictionary)
end

-- Loads the data of a visitor for c.session.
function session.load(store, c)
	local data, age = store:load(c)
	data = data or {}
	c.session_before, c.session_age = next(data) and json.encode(data) or "", age or 0
	return data
end

-- Called before the response is sent. What has not changed is written again only when a tenth of its time is over.
function session.save(store, c)
	local data = rawget(c, "session")
	if not data then
		return
	end
	if not next(data) then
		if c.session_before ~= "" then
			store:drop(c)
		end
		return
	end
	if c.session_renew or c.session_age > 0.1 or json.encode(data) ~= c.session_before then
		if c.session_renew then
			store:renew(c)
		end
		store:save(c, data)
	end
end

return session
