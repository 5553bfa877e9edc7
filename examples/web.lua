-- An application with moonbridge.web: mbserve examples/web.lua, then http://127.0.0.1:8080/?name=Moon
local web = require "moonbridge.web"
local app = web.app()

app:get("/", function(c) return "Hello, " .. (c.query.name or "world") .. "!\n" end)
app:get("/moon/:phase", function(c) return { phase = c.params.phase } end)

app:listen{ { proto = "tcp4", port = tonumber((...)) or 8080, localhost = true } }
