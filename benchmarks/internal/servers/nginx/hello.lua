local body = "Hello, world!\n"
ngx.header["Content-Length"] = #body
ngx.print(body)
