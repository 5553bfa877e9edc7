-- An application made with Orbit, for web_wsapi_test.go.
local web = require "moonbridge.web"
local installed, orbit = pcall(require, "orbit")

if not installed then
	local app = web.app()
	app:get("/", function() return "Orbit is not installed" end)
	return app:listen{ { proto = "tcp4", port = 0, localhost = true } }
end

local app = orbit.new()

function app.index(w)
	return "<p>" .. w.method .. " " .. (w.GET.name or "nobody") .. "</p>\n"
end

function app.show(w, number)
	w.headers["X-Number"] = number
	return "number " .. number .. "\n"
end

function app.save(w)
	w:set_cookie("saved", w.POST.word)
	return w:redirect("/app/show/7")
end

app:dispatch_get(app.index, "/", "")
app:dispatch_get(app.show, "/show/(%d+)")
app:dispatch_post(app.save, "/save")

listen{ { proto = "tcp4", port = 0, localhost = true }, connect = web.wsapi(app, { mount = "/app" }) }
