-- moonbridge.web.context: what handlers get. It has what the client has sent, and collects the response.
local accept = require "moonbridge.web.accept"
local cookie = require "moonbridge.web.cookie"
local crypto = require "moonbridge_crypto"
local json = require "moonbridge.web.json"
local session = require "moonbridge.web.session"
local text = require "moonbridge.web.text"

local context = {}

-- An error with a status, for abort.
local http_error = { __tostring = function(self) return ("status %d: %s"):format(self.status, self.message or "") end }

function context.is_error(e)
	return getmetatable(e) == http_error
end

-- Fields that are found when they are first used.
local lazy = {
	method = function(c) return c.request.method end,
	path = function(c) return text.decode("/" .. (c.request.path or "")) end,
	query = function(c) return c.request.get_params end,
	form = function(c) return c.request.post_params end,
	body = function(c) return c.request.body end,
	session = function(c) return session.load(c.app:sessions(), c) end,
}

local methods = {}

local meta = {
	__index = function(c, key)
		local field = lazy[key]
		if not field then
			return methods[key]
		end
		local value = field(c)
		rawset(c, key, value)
		return value
	end,
}

function context.new(app, request)
	return setmetatable({ app = app, request = request, status_code = 200, fields = {}, params = {} }, meta)
end

-- --- what the client has sent --------------------------------------------------------

-- A header field, the first one of that name; nil if there is none.
function methods:header(name)
	return self.request.headers[name][1]
end

-- A cookie, decoded.
function methods:cookie(name)
	local value = self.request.cookies[name]
	return value and text.decode(value)
end

-- The value of a cookie that was set with signed = true, or nil.
function methods:signed_cookie(name)
	return (cookie.verify(self.app.secret, name, self:cookie(name)))
end

-- The body as JSON. A client that sends something else gets 400 or 415.
function methods:json_body()
	local kind = (self:header("Content-Type") or ""):lower()
	if not kind:find("^application/json") and not kind:find("^application/[%w.+-]+%+json") then
		self:abort(415, "application/json expected")
	end
	local value, message = json.decode(self.body)
	if message then
		self:abort(400, message)
	end
	return value
end

local kinds = { html = "text/html", json = "application/json", text = "text/plain", xml = "application/xml" }

-- Which of several kinds the client likes best: "html", "json", "text", "xml", or media types. nil: none.
function methods:accepts(...)
	local names, types = { ... }, {}
	for i, name in ipairs(names) do
		types[i] = kinds[name] or name
	end
	self:vary("Accept")
	local best = accept.best(table.concat(self.request.headers.accept, ","), types)
	for i, kind in ipairs(types) do
		if kind == best then
			return names[i]
		end
	end
end

-- --- the response -----------------------------------------------------------------------

function methods:status(code)
	self.status_code = code
	return self
end

-- Sets a field, or removes it if the value is nil.
function methods:set(name, value)
	for i = #self.fields, 1, -1 do
		if self.fields[i][1]:lower() == name:lower() then
			table.remove(self.fields, i)
		end
	end
	if value ~= nil then
		self:add(name, value)
	end
	return self
end

-- Adds a field; there may be others of that name.
function methods:add(name, value)
	self.fields[#self.fields + 1] = { name, tostring(value) }
	return self
end

-- Adds a name to Vary.
function methods:vary(name)
	for _, field in ipairs(self.fields) do
		if field[1] == "Vary" then
			if not (", " .. field[2] .. ","):find(", " .. name .. ",", 1, true) then
				field[2] = field[2] .. ", " .. name
			end
			return self
		end
	end
	return self:add("Vary", name)
end

local function respond(self, kind, body)
	self:set("Content-Type", kind)
	self.content = body
	return self
end

function methods:text(body) return respond(self, "text/plain; charset=utf-8", tostring(body)) end
function methods:html(body) return respond(self, "text/html; charset=utf-8", tostring(body)) end
function methods:json(value) return respond(self, "application/json", json.encode(value)) end

-- A template of app.templates, with these values and the context as c.
function methods:render(name, values)
	return self:html(self.app:render(name, setmetatable({ c = self }, { __index = values })))
end

-- Sends the client elsewhere, to a path of this server or, as a whole URL, to another. After a form, the browser uses GET there.
function methods:redirect(where, code)
	if where:find("[%c\\]") or where:find("^//") then
		error(("redirect: %q is no place on this server, and no whole URL"):format(where), 2)
	end
	self:set("Location", where):status(code or 303)
	return respond(self, "text/plain; charset=utf-8", where .. "\n")
end

-- A cookie. Options are those of moonbridge.web.cookie, and signed. Over TLS it is only for TLS.
function methods:set_cookie(name, value, options)
	local o = setmetatable({}, { __index = options })
	if o.secure == nil then
		o.secure = self.request.scheme == "https"
	end
	if o.signed then
		value = cookie.sign(self.app.secret, name, tostring(value), o.max_age)
	end
	return self:add("Set-Cookie", cookie.field(name, value, o))
end

function methods:clear_cookie(name, options)
	return self:set_cookie(name, "", setmetatable({ max_age = 0, signed = false }, { __index = options }))
end

-- Ends the handler with a status.
function methods:abort(code, message)
	error(setmetatable({ status = code, message = message }, http_error), 0)
end

-- --- sessions ------------------------------------------------------------------------------

-- After a login: the session gets a new name, so that nobody has known it before.
function methods:renew_session()
	self.session_renew = self.session and true
	return self
end

-- Forgets everything.
function methods:end_session()
	self.session = self.session and {}
	return self
end

-- The token that forms of this session have.
function methods:csrf_token()
	local s = self.session
	s.csrf = s.csrf or text.base64(crypto.random(18))
	return s.csrf
end

-- An input for a form.
function methods:csrf_field()
	return text.raw('<input type="hidden" name="csrf_token" value="' .. self:csrf_token() .. '">')
end

-- --- the end ---------------------------------------------------------------------------------

-- Sends what has been collected. A field whose value has a line break would be an error of send_header.
function context.send(c)
	if rawget(c, "session") then
		session.save(c.app:sessions(), c)
	end
	local request = c.request
	request:send_status(tostring(c.status_code))
	for _, field in ipairs(c.fields) do
		request:send_header(field[1], field[2])
	end
	if c.content then
		request:send_data(c.content)
	end
	request:finish()
end

return context
