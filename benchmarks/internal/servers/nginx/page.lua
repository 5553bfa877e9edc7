local build = require "rows"
local body = build()
ngx.header["Content-Length"] = #body
ngx.print(body)
