if ngx.var.uri == "/blocking" then ngx.sleep(0.002) end
local body = "Hello, world!\n"
ngx.header["Content-Length"] = #body
ngx.print(body)
