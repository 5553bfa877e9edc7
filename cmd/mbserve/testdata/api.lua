-- Evaluates the Lua expressions in the field "Show" of a request, separated by ";", and shows their values, one per line.
local http = require "moonbridge_http"

local function show(v)
	if type(v) ~= "table" then return type(v) == "string" and ("%q"):format(v) or tostring(v) end
	local keys, parts = {}, {}
	for k in pairs(v) do keys[#keys + 1] = k end
	table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
	for i, k in ipairs(keys) do parts[i] = (type(k) == "string" and k .. "=" or "") .. show(v[k]) end
	return "{" .. table.concat(parts, " ") .. "}"
end

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	connect = http.generate_handler({ static_headers = { "X-Static: always", { "X-Pair", "too" } } }, function(request)
		local r = {}
		for expression in request.headers_value.show:gmatch("[^;]+") do
			r[#r + 1] = show(assert((loadstring or load)("local request = ... return " .. expression))(request))
		end
		request:send_status("200 OK")
		request:send_header("Content-Type", "text/plain")
		request:send_header("Set-Cookie", "a=1")
		request:send_header("Set-Cookie", "b=2")
		request:send_data(table.concat(r, "\n"))
		request:finish()
	end),
}
