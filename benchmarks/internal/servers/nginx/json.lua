local build = require "items"
local cjson = require "cjson"
local body = cjson.encode(build())
ngx.header["Content-Length"] = #body
ngx.print(body)
