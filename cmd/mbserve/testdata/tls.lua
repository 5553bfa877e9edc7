-- Arguments: a directory with the files a.pem and a-key.pem, and with b.pem and b-key.pem for other names. Client certificates are
-- checked at the third listener.
local http = require "moonbridge_http"
local dir = ...

local function tls_of(request) -- or of a socket
	local t = request.tls
	if not t then
		return "none"
	end
	local all = {}
	for _, k in ipairs { "version", "cipher", "server_name", "alpn", "client_fingerprint", "client_subject" } do
		all[#all + 1] = k .. "=" .. tostring(t[k])
	end
	assert(t == request.tls)
	return table.concat(all, " ")
end

local a, b = { cert = dir .. "/a.pem", key = dir .. "/a-key.pem" }, { cert = dir .. "/b.pem", key = dir .. "/b-key.pem" }
local both = { a, b }
local clients = { cert = a.cert, key = a.key, client_ca = a.cert, client_optional = true }

local handler = http.generate_handler(function(request)
	request:send_status("200 OK")
	request:send_data(request.scheme .. " " .. tls_of(request))
	assert(tls_of(request.socket) == tls_of(request))
end)

listen {
	{ proto = "tcp4", port = 0, localhost = true, tls = both },
	{ proto = "tcp4", port = 0, localhost = true },
	{ proto = "tcp", port = 0, host = "127.0.0.1", tls = clients },
	{ proto = "tcp4", port = 0, localhost = true, redirect_https = 8443 },
	{ proto = "tcp4", port = 0, localhost = true, tls = a, connect = function(socket)
		for line in socket.input:lines() do
			socket:write("heard ", line, "\n")
			socket:flush()
		end
	end },
	{ proto = "tcp4", port = 0, localhost = true, tls = clients, connect = function(socket)
		return handler(socket)
	end },
	{ proto = "tcp4", port = 0, localhost = true, tls = { cert = a.cert, key = a.key, alt_svc = 'h3=":443"; ma=60',
		hsts = { max_age = 31536000, include_subdomains = true, preload = true } } },
	{ proto = "tcp4", port = 0, localhost = true, tls = clients, connect = function(socket)
		local own = tls_of(socket)
		if socket:read("*l") == "HTTP" then
			return handler(socket)
		end
		socket:write(own, "\n")
	end },
	{ proto = "tcp4", port = 0, localhost = true, connect = function(socket) socket:write(tls_of(socket), "\n") end },
	static = { ["/static/"] = { dir } },
	routes = { ["/route/"] = { proxy = "unix:/nowhere" } },
	max_fork = 4,
	queue_timeout = 120, -- a busy machine may let workers wait for long
	connect = handler,
}
