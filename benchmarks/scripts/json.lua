-- 50 items, built and encoded as JSON for each request: about 4.5 KB.
-- mbserve json.lua PORT [name=value ...]

local serve = require "serve"
local build = require "items"
local cjson = require "cjson"

serve(function(request)
	request:send_status("200 OK")
	request:send_header("Content-Type", "application/json")
	request:send_data(cjson.encode(build()))
	request:finish()
end, ...)
