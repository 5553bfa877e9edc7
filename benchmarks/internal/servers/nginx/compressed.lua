local build = require "article"
local body = build()
ngx.header["Content-Length"] = #body
ngx.print(body)
