ngx.req.read_body()
local name = ngx.req.get_post_args().name
local body = "Hello, " .. name .. "!\n"
ngx.header["Content-Length"] = #body
ngx.print(body)
