-- NAME: mbserve --dev --watch=views main.lua, then http://127.0.0.1:8080/
-- The argument is another port, or the path of a Unix socket.
local web = require "moonbridge.web"
local guests = require "guests"

local app = web.app{ templates = "views" }

app:get("/", function(c)
	return c:render("home", { greeting = guests.greeting(c.query.name) })
end)

app:get("/greetings/:name", function(c)
	return { greeting = guests.greeting(c.params.name) } -- a table is sent as JSON
end)

app:get("/health", function() return "well\n" end)

local where = ... or "8080"
if tonumber(where) then
	-- In a container (PUBLIC=1) the port is for other machines too.
	app:listen{ { proto = "tcp4", port = tonumber(where), localhost = os.getenv("PUBLIC") == nil } }
else
	app:listen{ { proto = "local", path = where } }
end
