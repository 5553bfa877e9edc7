-- The application of tested_*.lua, for test_command_test.go.
local http = require "moonbridge_http"
local web = require "moonbridge.web"
local app = web.app{ secret = "test" }

app:get("/echo", function(c)
	local r = c.request
	return { method = r.method, path = r.path, query = c.query, from = r.client_ip or "", agent = r.headers_value["user-agent"],
		cookie = r.headers_value["cookie"] or "", host = r.headers_value["host"], x = r.headers["x-list"] }
end)
app:post("/echo", function(c) return { body = c.body, type = c.request.headers_value["content-type"] or "" } end)
app:post("/form", function(c) return { name = c.form.name } end)
app:post("/size", function(c) return tostring(#c.body) end)
app:get("/large", function() return ("0123456789"):rep(300000) end)
app:get("/login", function(c)
	c:add("Set-Cookie", "a=1; Path=/; HttpOnly"):add("Set-Cookie", "b=2; Max-Age=60")
	c:add("Set-Cookie", "c=3; Expires=Thu, 01 Jan 2099 00:00:00 GMT")
	return c:redirect("echo?in=1")
end)
app:get("/logout", function(c)
	c:add("Set-Cookie", "a=; Max-Age=0"):add("Set-Cookie", "b=; Expires=Thu, 01 Jan 1970 00:00:00 GMT")
	return "out"
end)
app:post("/moved", function(c) return c:redirect("http://localhost/echo?moved=1", 303) end)
app:post("/kept", function(c) return c:redirect("/echo", 307) end)
app:get("/round", function(c) return c:redirect("/round") end)
app:get("/boom", function() error("boom") end)
app:get("/slow", function() require("moonbridge_io").poll({}, nil, 30) return "late" end)
app:get("/die", function() os.exit(7) end)

local ticks = 0
app:listen{
	{ proto = "tcp4", port = 80, localhost = true }, -- without rights for it, and never opened
	{ proto = "interval", delay = 0.001, name = "tick", connect = function() os.exit(9) end },
	{ proto = "tcp4", port = 0, localhost = true, connect = function() end },
	min_fork = 1, max_fork = 2,
}
listen{
	{ proto = "local", path = "/nowhere/socket", connect = http.generate_handler(function(request)
		request:send_status("200 OK")
		request:send_data("second ", tostring(request.client_ip))
	end) },
	min_fork = 1, max_fork = 1,
	selftest = function(get)
		local r = get("/")
		assert(r.status == 200 and r.body == "second nil", r.body)
	end,
}
