local piece = require "piece"
local pieces = 160
ngx.header["Content-Length"] = pieces * #piece
for i = 1, pieces do
	ngx.print(piece)
	ngx.flush(true)
end
