-- Tells what the request object says of a request, one fact a line.
local http = require "moonbridge_http"

local function show(v)
	if type(v) ~= "table" then return tostring(v) end
	local keys, parts = {}, {}
	for k in pairs(v) do keys[#keys + 1] = k end
	table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
	for i, k in ipairs(keys) do parts[i] = tostring(k) .. "=" .. show(v[k]) end
	return "{" .. table.concat(parts, " ") .. "}"
end

listen{
	{ proto = "tcp4", port = 8080 },
	connect = http.generate_handler(function(request)
		request:send_status("200 OK")
		local what = request.headers_value["X-What"] or request.headers.what[1]
		for expression in what:gmatch("[^;]+") do
			local f = assert((loadstring or load)("local request = ... return " .. expression))
			request:send_data(show(f(request)), "\n")
		end
	end)
}
