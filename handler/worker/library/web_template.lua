-- moonbridge.web.template: text with Lua in it. <%= value %> is escaped for HTML, <%- value %> is not, <% code %> runs, and
-- <%# is a comment. -%> drops the line end after it. Errors name the template's file and line.
local text = require "moonbridge.web.text"

local template = {}

local function quoted(s)
	return (("%q"):format(s))
end

-- The Lua code of a template. A line of it is a line of the template.
local function code_of(source, name)
	local out, at = { "local _out, _escape = ...; " }, 1
	while true do
		local from, to, kind = source:find("<%%([=#-]?)", at)
		local plain = source:sub(at, (from or 0) - 1)
		if plain ~= "" then
			out[#out + 1] = "_out[#_out + 1] = " .. quoted(plain) .. "; "
		end
		if not from then
			return table.concat(out)
		end
		local stop, last, trim = source:find("(%-?)%%>", to + 1)
		if not stop then
			local _, line = source:sub(1, from):gsub("\n", "")
			error(("%s:%d: <%% without %%>"):format(name, line + 1), 0)
		end
		local inner = source:sub(to + 1, stop - 1)
		if kind == "=" then
			out[#out + 1] = "_out[#_out + 1] = _escape(" .. inner .. "); "
		elseif kind == "-" then
			out[#out + 1] = "_out[#_out + 1] = tostring(" .. inner .. "); "
		elseif kind == "#" then
			out[#out + 1] = (inner:gsub("[^\n]+", ""))
		else
			out[#out + 1] = inner .. " "
		end
		at = last + 1
		local line_end = trim == "-" and source:match("^\r?\n", at)
		if line_end then
			out[#out + 1], at = "\n", at + #line_end
		end
	end
end

-- Loads code whose globals are those of env. 5.1 and later versions of Lua differ here.
local function load_in(code, name, env)
	if setfenv then
		local f, message = loadstring(code, "@" .. name)
		return f and setfenv(f, env), message
	end
	return load(code, "@" .. name, "t", env)
end

-- Makes a function of a template's text: it takes a table of values, which the template sees as globals, and returns the text.
-- helpers are further globals.
function template.compile(source, name, helpers)
	local values
	local env = setmetatable({}, {
		__index = function(_, key)
			local value = values[key]
			if value == nil and helpers then
				value = helpers[key]
			end
			if value == nil then
				value = _G[key]
			end
			return value
		end,
		__newindex = function(_, key)
			error(("assignment to %q, which is no local variable of the template"):format(tostring(key)), 2)
		end,
	})
	local chunk, message = load_in(code_of(source, name or "template"), name or "template", env)
	if not chunk then
		error(message, 0)
	end
	return function(own)
		local before, out = values, {}
		values = own or {}
		local ok, message = pcall(chunk, out, text.escape)
		values = before
		if not ok then
			error(message, 0)
		end
		return table.concat(out)
	end
end

local DEPTH = 50 -- of includes and layouts

local directory = {}
directory.__index = directory

-- Renders a file with values. In it, include(name, values) is the text of another file, and layout(name, values) wraps the text into
-- another file, which has it as content.
function directory:render(name, values)
	if self.depth >= DEPTH then
		error("template " .. name .. ": includes are nested too deeply", 0)
	end
	self.depth = self.depth + 1
	local frame = { values = values or {} }
	local outer = self.frame
	self.frame = frame
	local ok, result = pcall(function() return self:load(name)(frame.values) end)
	self.frame = outer
	if ok and frame.layout then
		local all = setmetatable({ content = text.raw(result) }, { __index = frame.layout_values or frame.values })
		ok, result = pcall(self.render, self, frame.layout, all)
	end
	self.depth = self.depth - 1
	if not ok then
		error(result, 0)
	end
	return result
end

-- The function of a file. It is read once in each process.
function directory:load(name)
	local f = self.loaded[name]
	if f then
		return f
	end
	if name:find("..", 1, true) or name:find("^/") or name:find("\0", 1, true) then
		error(("template %q: the name leads out of the directory"):format(name), 0)
	end
	local path = self.path .. "/" .. name .. self.suffix
	local file, message = io.open(path, "rb")
	if not file then
		error("template " .. message, 0)
	end
	local source = file:read("*a")
	file:close()
	f = template.compile(source, path, self.helpers)
	self.loaded[name] = f
	return f
end

-- The templates of a directory. Options: suffix (".html"), helpers (a table of further globals).
function template.directory(path, options)
	options = options or {}
	local self = setmetatable({ path = path, suffix = options.suffix or ".html", loaded = {}, depth = 0 }, directory)
	self.helpers = setmetatable({
		raw = text.raw,
		escape = text.escape,
		include = function(name, values) return text.raw(self:render(name, values or self.frame.values)) end,
		layout = function(name, values) self.frame.layout, self.frame.layout_values = name, values end,
	}, { __index = options.helpers })
	return self
end

return template
