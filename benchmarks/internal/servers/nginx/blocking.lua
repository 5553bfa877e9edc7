ngx.sleep(0.002)
local body = "Hello, world!\n"
ngx.header["Content-Length"] = #body
ngx.print(body)
