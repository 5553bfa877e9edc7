-- moonbridge.web.accept: which of several things a client likes best, by its Accept, Accept-Language or Accept-Encoding field
-- (RFC 9110 §12.5).
local accept = {}

-- The elements of a field: { name =, q = }.
local function parse(field)
	local list = {}
	for element in field:gmatch("[^,]+") do
		local name = element:match("^%s*([^;%s]+)")
		local q = element:match(";%s*[qQ]=(%d?%.?%d*)")
		if name and #list < 100 then
			list[#list + 1] = { name = name:lower(), q = q and math.min(1, tonumber(q) or 0) or 1 }
		end
	end
	return list
end

-- How exactly an element fits an offer: 0 not at all.
local function fits(element, offer)
	if element == offer then
		return 3
	elseif element == "*/*" or element == "*" then
		return 1
	elseif element:sub(-2) == "/*" and offer:sub(1, #element - 1) == element:sub(1, -2) then
		return 2
	elseif offer:sub(1, #element + 1) == element .. "-" then -- en stands for en-GB
		return 2
	end
	return 0
end

-- The offer that is liked best, of several the first. Without a field, the first one. nil: the client accepts none.
function accept.best(field, offers)
	local list = parse(field or "")
	if #list == 0 then
		return offers[1]
	end
	local best, most = nil, 0
	for _, offer in ipairs(offers) do
		local exact, q = 0, 0
		for _, element in ipairs(list) do
			local n = fits(element.name, offer:lower())
			if n > exact then
				exact, q = n, element.q
			end
		end
		if q > most then
			best, most = offer, q
		end
	end
	return best
end

return accept
