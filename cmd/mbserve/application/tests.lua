-- The tests of NAME: ./test.sh, or mbserve test main.lua tests.lua
local test = require "moonbridge.test"
local guests = require "guests"

test.case("the home page greets the world", function(client)
	local page = client:get("/")
	test.equal(page.status, 200)
	test.equal(page.headers["Content-Type"], "text/html; charset=utf-8")
	test.contains(page.body, "Hello, world!")
end)

test.case("a name is escaped", function(client)
	test.contains(client:get("/", { query = { name = "<b>" } }).body, "Hello, &lt;b&gt;!")
end)

test.case("greetings as JSON", function(client)
	test.equal(client:get("/greetings/Luna"):json(), { greeting = "Hello, Luna!" })
end)

test.case("it says that it is well", function(client)
	test.equal(client:get("/health").body, "well\n")
end)

test.case("other paths are not found", function(client)
	test.equal(client:get("/nowhere").status, 404)
end)

test.case("a greeting without a name", function()
	test.equal(guests.greeting(""), "Hello, world!")
end)
