-- The data of the workload "json": 50 items, built for each request. mbserve and nginx load this same file, and the same
-- lua-cjson encodes them; peers/workload is its counterpart in Go.

local items = 50

return function()
	local list = {}
	for i = 1, items do
		list[i] = {
			id = i,
			name = "Article number " .. i,
			pieces = i * 7,
			available = i % 3 ~= 0,
			tags = {"stock", "new"},
		}
	end
	return list
end
