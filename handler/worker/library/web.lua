-- moonbridge.web: a small library for web applications, in Lua. docs/web.md describes it.
local context = require "moonbridge.web.context"
local crypto = require "moonbridge_crypto"
local http = require "moonbridge_http"
local router = require "moonbridge.web.router"
local session = require "moonbridge.web.session"
local template = require "moonbridge.web.template"
local text = require "moonbridge.web.text"

local _, keep_traceback = ...

local web = {
	accept = require "moonbridge.web.accept",
	cookie = require "moonbridge.web.cookie",
	json = require "moonbridge.web.json",
	router = router,
	template = template,
	text = text,
	raw = text.raw,
	escape = text.escape,
}

local app = {}
app.__index = app

local function pass(c, go_on)
	return go_on(c)
end

-- Options: secret (default: one that the server keeps over reloads), session (see moonbridge.web.session), templates (a directory, or
-- what template.directory returns).
function web.app(options)
	options = options or {}
	local templates, secret = options.templates, options.secret or crypto.secret("moonbridge.web")
	return setmetatable({
		secret = secret,
		session_options = options.session,
		store = options.session and session.new(secret, options.session),
		templates = type(templates) == "string" and template.directory(templates) or templates,
		router = router.new(),
		around = pass,
	}, app)
end

for _, method in ipairs{ "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS" } do
	app[method:lower()] = function(self, pattern, handler)
		return self:route(method, pattern, handler)
	end
end

-- Adds a handler for a method and a pattern.
function app:route(method, pattern, handler)
	if type(handler) ~= "function" then
		error(("route %q: function expected, got %s"):format(pattern, type(handler)), 3)
	end
	self.router:add(method, pattern, handler)
	return self
end

-- Adds a function that is called around all handlers: it gets the context and a function that goes on. The first one is the
-- outermost.
function app:use(f)
	local around = self.around
	self.around = function(c, go_on)
		return around(c, function() return f(c, go_on) end)
	end
	return self
end

-- Sets what answers an error: a function that gets the context, the status and perhaps a message.
function app:on_error(f)
	self.answer_error = f
	return self
end

function app:sessions()
	self.store = self.store or session.new(self.secret, self.session_options)
	return self.store
end

function app:render(name, values)
	if not self.templates then
		error("render: the application has no templates: web.app{ templates = \"views\" }", 3)
	end
	return self.templates:render(name, values)
end

local reasons = {
	[400] = "Bad Request", [401] = "Unauthorized", [403] = "Forbidden", [404] = "Not Found", [405] = "Method Not Allowed",
	[406] = "Not Acceptable", [409] = "Conflict", [410] = "Gone", [413] = "Content Too Large", [415] = "Unsupported Media Type",
	[422] = "Unprocessable Content", [429] = "Too Many Requests", [500] = "Internal Server Error", [503] = "Service Unavailable",
}

-- What there is unless on_error was called: JSON for those who prefer it.
local function plain_error(c, code, message)
	local reason = reasons[code] or "Error"
	if c:accepts("text", "html", "json") == "json" then
		return c:json{ status = code, error = reason, message = message }
	end
	c:text(reason .. (message and ": " .. message or "") .. "\n")
end

local function allowed(values)
	local names = { "OPTIONS" }
	for method in pairs(values) do
		names[#names + 1] = method ~= "OPTIONS" and method or nil
		if method == "GET" and not values.HEAD then
			names[#names + 1] = "HEAD"
		end
	end
	table.sort(names)
	return table.concat(names, ", ")
end

-- Calls the handler of the path.
local function handle(self, c)
	local values, params = nil, nil
	if c.request.path then -- there is none for OPTIONS *
		values, params = self.router:find(c.request.path)
	end
	if not values then
		c:abort(404)
	end
	local entry = values[c.method] or c.method == "HEAD" and values.GET
	if entry then
		c.params = params(entry)
		return entry.value(c)
	end
	c:set("Allow", allowed(values))
	if c.method ~= "OPTIONS" then
		c:abort(405)
	end
	c:status(204)
end

-- Runs the application for a context. What a handler returns is the response, unless it has made one: a string is text, a table is
-- JSON.
local function run(self, c)
	local result = self.around(c, function() return handle(self, c) end)
	if type(result) == "string" then
		c:text(result)
	elseif type(result) == "table" and result ~= c then
		c:json(result)
	end
end

-- The callback for generate_handler.
function app:callback()
	return function(request)
		local c = context.new(self, request)
		local ok, e = xpcall(run, keep_traceback, self, c)
		if not ok and not context.is_error(e) then
			error(e, 0)
		elseif not ok then
			c:status(e.status)
			local answer = self.answer_error or plain_error
			answer(c, e.status, e.message)
		end
		if not c.sent then
			context.send(c)
		end
	end
end

-- The handler for connect of listen. options are those of generate_handler.
function app:handler(options)
	return http.generate_handler(self:callback(), options)
end

-- Calls listen with the application as its handler.
function app:listen(t)
	t.connect = t.connect or self:handler(t.options)
	t.options = nil
	return listen(t)
end

local safe = { GET = true, HEAD = true, OPTIONS = true, TRACE = true }

-- For app:use: refuses requests with effects that come from pages of others. A form needs csrf_field() of the context, a script
-- sends the token in the field X-CSRF-Token. except(c) may let requests pass, such as those of an API with keys of its own.
function web.csrf(except)
	return function(c, go_on)
		if safe[c.method] or except and except(c) then
			return go_on(c)
		end
		local kind = (c:header("Content-Type") or ""):lower()
		local is_form = kind:find("^application/x%-www%-form%-urlencoded") or kind:find("^multipart/form%-data")
		local token = c:header("X-CSRF-Token") or is_form and c.form.csrf_token
		local site = c:header("Sec-Fetch-Site")
		if site == "cross-site" or not token or not c.session.csrf or not crypto.equal(token, c.session.csrf) then
			c:abort(403, "the form is out of date: load the page again")
		end
		return go_on(c)
	end
end

-- Serves a WSAPI application: see moonbridge.web.wsapi.
function web.wsapi(...)
	return require("moonbridge.web.wsapi").handler(...)
end

return web
