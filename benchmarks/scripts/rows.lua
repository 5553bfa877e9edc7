-- The page of the workload "page": about 4 KB, built for each request. mbserve and nginx load this same file;
-- peers/workload is its counterpart in Go. The comparison does not start if the pages differ.

local rows = 50

return function()
	local page = {"<!DOCTYPE html>\n<html><head><title>Stock</title></head><body><table>\n"}
	for i = 1, rows do
		page[i + 1] = '<tr id="row' .. i .. '"><td>' .. i .. "</td><td>Article number " .. i .. "</td><td>" ..
			(i * 7) .. " pieces</td></tr>\n"
	end
	page[rows + 2] = "</table></body></html>\n"
	return table.concat(page)
end
