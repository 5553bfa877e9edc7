local from, size = assert(ngx.req.socket()), 0
while true do
	local piece, err = from:receiveany(65536)
	if not piece then
		if err == "closed" then break end
		error(err)
	end
	size = size + #piece
end
local body = size .. "\n"
ngx.header["Content-Length"] = #body
ngx.print(body)
