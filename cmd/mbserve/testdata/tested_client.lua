-- Tests that pass: what the client and the assertions can do.
local test = require "moonbridge.test"

local function echo(client, path, options)
	local r = client:get(path, options)
	test.equal(r.status, 200)
	return r:json(), r
end

test.case("a request has what it is given", function(client)
	local e, r = echo(client, "/echo", { query = { q = "a b", list = { 1, 2 } }, headers = { ["X-List"] = { "1", "2" }, Host = "example.org" } })
	test.equal(e, { method = "GET", path = "echo", query = { q = "a b", list = "1" }, from = "127.0.0.1", agent = "mbserve-test",
		cookie = "", host = "example.org", x = { "1", "2" } })
	test.equal(r.headers["Content-Type"], "application/json")
	test.equal(r.headers["content-type"], "application/json")
	test.equal(r.headers["X-No"], nil)
	test.equal(r.path, "/echo?list=1&list=2&q=a%20b")
	test.equal(echo(client, "/echo", { from = "2001:db8::1", headers = { ["user-agent"] = "me" } }).agent, "me")
	test.equal(echo(client, "/echo", { from = "192.0.2.7" }).from, "192.0.2.7")
	test.equal(client("/echo"):json().path, "echo")
	test.equal(client("/echo", { method = "POST", body = "x" }):json().body, "x")
end)

test.case("bodies", function(client)
	test.equal(client:post("/echo", { body = "a=b", headers = { ["Content-Type"] = "text/x" } }):json(), { body = "a=b", type = "text/x" })
	test.equal(client:post("/form", { form = { name = "a&b=ü" } }):json(), { name = "a&b=ü" })
	test.equal(client:post("/echo", { json = { a = { 1, 2 } } }):json(), { body = '{"a":[1,2]}', type = "application/json" })
	test.equal(client:post("/echo"):json(), { body = "", type = "" })
	test.equal(client:head("/echo").body, "")
end)

test.case("large bodies take several messages", function(client)
	test.equal(client:post("/size", { body = ("x"):rep(3000000) }).body, "3000000")
	test.ok(client:get("/large").body == ("0123456789"):rep(300000), "three megabytes")
end)

test.case("cookies are kept, and redirects are followed if that is asked for", function(client)
	local r = client:get("/login")
	test.equal(r.status, 303)
	test.equal(r.headers.location, "echo?in=1")
	test.equal(client.cookies, { a = "1", b = "2", c = "3" })
	client.cookies = {}
	local e, followed = echo(client, "/login", { redirects = true })
	test.equal(e.cookie, "a=1; b=2; c=3")
	test.equal(e.query, { ["in"] = "1" })
	test.equal(followed.path, "/echo?in=1")
	test.equal(echo(client, "/echo", { cookies = false }).cookie, "")
	client:get("/logout")
	client.cookies.own = "x"
	test.equal(echo(client, "/echo").cookie, "c=3; own=x")
	client.redirects = 1
	test.equal(client:post("/moved", { body = "x" }):json().query, { moved = "1" })
	test.equal(client:post("/kept", { body = "again" }):json().body, "again")
	test.raises(function() client:get("/round") end, "more redirects than expected: the last one leads to /round")
end)

test.case("a client begins without cookies", function(client)
	test.equal(client.cookies, {})
end)

test.case("pools and listeners", function(client)
	local r = client:get("/", { pool = 2 })
	test.equal({ r.status, r.reason, r.body }, { 200, "OK", "second nil" })
	test.equal(client:get("/", { pool = 2, listener = 1, from = "192.0.2.1" }).body, "second 192.0.2.1")
	test.raises(function() client:get("/", { pool = 3 }) end, "there is no pool 3: the script has 2")
	test.raises(function() client:get("/", { pool = 1, listener = 2 }) end, "listener 2 of pool 1 has no requests")
	test.raises(function() client:get("/", { pool = 1, listener = 3 }) end, "listener 3 of pool 1 has no requests")
	test.raises(function() client:get("/", { listener = 9 }) end, "there is no listener 9")
end)

test.case("requests that get no response", function(client)
	test.raises(function() client:get("/slow", { timeout = 0.05 }) end, "GET /slow: no response within 50ms")
	test.raises(function() client:get("nowhere") end, 'the path "nowhere" does not begin with /')
	test.raises(function() client:get("/", { header = {} }) end, "has no option header; there are body, cookies, form,")
	test.raises(function() client:get("/", { headers = "x" }) end, "option headers of a request: table expected, got string")
	test.raises(function() client:get("/", { body = "x", form = {} }) end, "only one of body, form and json")
	test.raises(function() client:get("/", { headers = { ["a b"] = "c" } }) end, "GET /: .*header")
	test.raises(function() client:get("/", { from = "nobody" }) end, 'from: "nobody" is not an IP address')
	test.raises(function() client:get("/", { timeout = 0 }) end, "timeout: 0 is not a number of seconds")
	test.raises(function() client:get(nil) end, "a request has a path: text expected, got nil")
	test.raises(function() client:get("/", { pool = 2 }):json() end, "the body is not JSON: .*got: second")
end)

test.case("a worker that ends", function(client)
	test.equal(client:get("/die").status, 502)
	test.equal(client:get("/echo").status, 200)
end)

test.case("assertions", function()
	local function fails(message, assertion, ...)
		local arguments = { ... }
		local err = test.raises(function() assertion((table.unpack or unpack)(arguments, 1, 3)) end)
		test.equal(err.message, message)
		test.matches(err.where, "tested_client%.lua:%d+$")
	end
	fails("expected: 1\n     got: 2", test.equal, 2, 1)
	fails('what\nexpected: "a\\n"\n     got: nil', test.equal, nil, "a\n", "what")
	fails("at .a[2].b\nexpected: { 1, { x = {} } }\n     got: false", test.equal, { a = { 1, { b = false } } }, { a = { 1, { b = { 1, { x = {} } } } } })
	fails("at [1]\nexpected: nil\n     got: 0", test.equal, { 0 }, {})
	fails("expected: anything but { 1 }", test.not_equal, { 1 }, { 1 })
	fails("expected: neither nil nor false\n     got: false", test.ok, false)
	fails('expected: a text with "%d"\n     got: "5"', test.contains, "5", "%d")
	fails('expected: a text without "5"\n     got: "15"', test.lacks, "15", "5")
	fails('expected: a text that matches "^%a"\n     got: "5"', test.matches, "5", "^%a")
	fails("expected: an error\n     got: none", test.raises, function() end)
	fails("why", test.fail, "why")
	test.equal({ test.matches("a1", "(%a)(%d)") }, { "a", "1" })
	test.equal(test.ok(5), 5)
	local loop = {}
	loop.loop = loop
	local other = {}
	other.loop = other
	test.equal(loop, other)
	test.equal(0 / 0, 0 / 0)
end)
