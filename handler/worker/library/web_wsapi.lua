-- moonbridge.web.wsapi: runs applications that were written for WSAPI, such as those made with Orbit.
local http = require "moonbridge_http"

local wsapi = {}

-- The request body, for env.input: read() is all of it, read(n) the next n bytes, nil at the end.
local function input_of(request)
	local body, at = nil, 1
	return {
		read = function(_, n)
			body = body or request.body
			if type(n) ~= "number" then
				n = #body
			end
			local piece = body:sub(at, at + n - 1)
			at = at + #piece
			return piece ~= "" and piece or nil
		end,
	}
end

local errors = {
	write = function(_, ...)
		io.stderr:write(...)
	end,
}

-- The variables of CGI (RFC 3875). mount is the path that belongs to the server: "/app" of "/app/page".
local function env_of(request, mount, variables)
	local headers = request.headers_csv_string
	local path = require("moonbridge.web.text").decode("/" .. (request.path or ""))
	local host, port = (request.host or ""):match("^(.-):?(%d*)$")
	local env = {
		REQUEST_METHOD = request.method,
		SCRIPT_NAME = mount,
		PATH_INFO = path:sub(#mount + 1),
		QUERY_STRING = (request.query or ""):sub(2),
		CONTENT_TYPE = headers["Content-Type"],
		CONTENT_LENGTH = headers["Content-Length"],
		REMOTE_ADDR = request.client_ip or "",
		SERVER_NAME = host or "",
		SERVER_PORT = port ~= "" and port or request.scheme == "https" and "443" or "80",
		SERVER_PROTOCOL = "HTTP/1.1",
		SERVER_SOFTWARE = "Moonbridge",
		GATEWAY_INTERFACE = "CGI/1.1",
		HTTPS = request.scheme == "https" and "on" or "",
		input = input_of(request),
		error = errors,
	}
	for name, value in pairs(variables) do
		env[name] = value
	end
	-- An application asks for any header as HTTP_NAME, and gets "" if there is none.
	return setmetatable(env, {
		__index = function(_, name)
			local header = type(name) == "string" and name:match("^HTTP_(.+)$")
			return header and header ~= "PROXY" and headers[header:gsub("_", "-")] or ""
		end,
	})
end

-- The callback for generate_handler. app is what WSAPI calls an application: a function, a table with a function run, or the name of a
-- module that returns one of them. Options: mount (""), variables (a table of further variables).
function wsapi.callback(app, options)
	options = options or {}
	if type(app) == "string" then
		app = require(app)
	end
	local run = type(app) == "table" and app.run or app
	if type(run) ~= "function" then
		error("wsapi: a function, a table with a function run, or the name of a module expected", 2)
	end
	local mount = options.mount or ""
	return function(request)
		local path = "/" .. (request.path or "")
		if path:sub(1, #mount) ~= mount or path:sub(#mount + 1, #mount + 1) ~= "/" and #path > #mount then
			request:send_status("404 Not Found")
			return request:send_data("Not Found\n")
		end
		local status, headers, body = run(env_of(request, mount, options.variables or {}))
		request:send_status(tostring(status))
		for name, value in pairs(headers or {}) do
			for _, one in ipairs(type(value) == "table" and value or { value }) do
				request:send_header(name, tostring(one))
			end
		end
		for piece in body or function() end do
			request:send_data(tostring(piece))
		end
	end
end

-- The handler for connect of listen. options may have http, which are the options of generate_handler.
function wsapi.handler(app, options)
	return http.generate_handler(wsapi.callback(app, options), options and options.http)
end

return wsapi
