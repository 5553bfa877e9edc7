local build = require "rows"
ngx.sleep(0.02)
local body = build()
ngx.header["Cache-Control"] = "s-maxage=1, stale-while-revalidate=10"
ngx.header["Content-Length"] = #body
ngx.print(body)
