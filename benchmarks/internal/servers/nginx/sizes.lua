large = large or string.rep("x", 100 * 1024)
local body = ngx.var.uri == "/100k" and large or "Hello, world!\n"
ngx.header["Content-Length"] = #body
ngx.print(body)
