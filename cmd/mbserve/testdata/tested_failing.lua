-- Tests that fail, for the reports.
local test = require "moonbridge.test"

test.case("passes", function(client) test.equal(client:get("/echo").status, 200) end)
test.case("# fails", function(client)
	client:get("/echo")
	local r = client:get("/boom")
	test.equal(r.status, 200, "the <page>")
end)
test.case("has an error", function() local t; return t.x end)
test.case("is left out", function() test.skip("not today") end)
