-- moonbridge.web.cookie: the values of Set-Cookie fields, and signatures that only this server can make.
local crypto = require "moonbridge_crypto"
local text = require "moonbridge.web.text"

local cookie = {}

local SAME_SITE = { Strict = true, Lax = true, None = true }

local function check(what, value, pattern)
	value = tostring(value)
	if value == "" or value:find(pattern) then
		error(("cookie: %s %q has characters that cannot stand in a cookie"):format(what, value), 0)
	end
	return value
end

-- What Set-Cookie has for a cookie. Options: path ("/"), domain, max_age (seconds), http_only (true), secure, same_site ("Lax").
-- The value is percent-encoded.
function cookie.field(name, value, options)
	options = options or {}
	local same_site = options.same_site == nil and "Lax" or options.same_site
	if same_site and not SAME_SITE[same_site] then
		error("cookie: same_site is Strict, Lax, None or false", 0)
	end
	local parts = {
		check("name", name, "[^%w!#$%%&'*+%-.^_`|~]") .. "=" .. text.encode(value),
		"Path=" .. check("path", options.path or "/", "[%c;,]"),
	}
	local function add(part)
		parts[#parts + 1] = part
	end
	if options.domain then
		add("Domain=" .. check("domain", options.domain, "[^%w.%-]"))
	end
	if options.max_age then
		add(("Max-Age=%d"):format(math.floor(options.max_age)))
	end
	if options.http_only ~= false then
		add "HttpOnly"
	end
	if options.secure or same_site == "None" then
		add "Secure"
	end
	if same_site then
		add("SameSite=" .. same_site)
	end
	return table.concat(parts, "; ")
end

local function signature(secret, name, value, expires)
	return text.base64(crypto.hmac_sha256(secret, ("%s=%s;%d"):format(name, value, expires)))
end

-- A value with its signature, which is valid for a cookie of that name and for so many seconds; nil: for ever.
function cookie.sign(secret, name, value, seconds)
	local expires = seconds and math.floor(os.time() + seconds) or 0
	return ("%s.%d.%s"):format(text.base64(value), expires, signature(secret, name, value, expires))
end

-- The value of a signed one and when it expires, or nil.
function cookie.verify(secret, name, signed)
	local coded, digits, sum = (signed or ""):match("^([%w_%-]*)%.(%d+)%.([%w_%-]+)$")
	local value = coded and #digits < 16 and text.unbase64(coded)
	local expires = tonumber(digits)
	if not value or not crypto.equal(sum, signature(secret, name, value, expires)) then
		return nil
	elseif expires ~= 0 and expires < os.time() then
		return nil
	end
	return value, expires
end

return cookie
