-- The parts of moonbridge.web, for web_test.go. A request to /lua is a piece of Lua, the body.
web = require "moonbridge.web"
cookie, json, router, template, text, accept = web.cookie, web.json, web.router, web.template, web.text, web.accept

local views = ...
local app = web.app{ secret = "test", session = { max_age = 3600 }, templates = views }

local function show(value)
	if type(value) ~= "table" or value == json.null then
		return tostring(value)
	end
	return json.encode(value)
end

app:post("/lua", function(c)
	local f, e = (loadstring or load)(c.body)
	local function joined(...)
		local results = {}
		for i = 1, select("#", ...) do
			results[i] = show((select(i, ...)))
		end
		return table.concat(results, " ")
	end
	return joined((f or error(e, 0))())
end)

app:get("/page/:name", function(c) return c:render(c.params.name, { title = "<T>", items = { 1, "&" } }) end)
app:get("/fail", function() local t = nil; return t.x end)
app:get("/set/:value", function(c) c.session.value = c.params.value; return "set" end)
app:get("/get", function(c) return tostring(c.session.value) end)
app:get("/large", function(c) c.session.value = ("x"):rep(4000); return "large" end)
app:get("/split", function(c) c:set("X-A", "a\r\nSet-Cookie: b=c"); return "x" end)
app:get("/away", function(c) return c:redirect(c.query.to) end)

app:listen{ { proto = "tcp4", port = 0, localhost = true }, max_fork = 2 }
