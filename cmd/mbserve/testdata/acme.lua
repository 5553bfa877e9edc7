-- Arguments: directory of certificates, URL of the authority, file of the certificate of its server, port with TLS, port without.
local http = require "moonbridge_http"
local storage, ca, root, port, plain = ...

local function acme(...)
	return { acme = { domains = { ... }, email = "admin@example.com", storage = storage, ca = ca, ca_root = root } }
end

local function about(request)
	local t = request.tls
	return t and t.server_name .. " " .. tostring(t.alpn) or "no TLS"
end

listen {
	{ proto = "tcp4", port = tonumber(port), localhost = true, tls = acme("a.test", "b.test") },
	{ proto = "tcp4", port = 0, localhost = true, tls = acme("c.test") },
	{ proto = "tcp4", port = tonumber(plain), localhost = true, redirect_https = true },
	{ proto = "tcp4", port = 0, localhost = true },
	connect = http.generate_handler(function(request)
		request:send_status("200 OK")
		request:send_data(about(request))
	end),
}
