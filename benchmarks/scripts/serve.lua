-- serve(callback, port, option...) listens for HTTP on 127.0.0.1. Each option is a string name=value: an option of the
-- pool (min_fork=4, or connection_limit.rate=20 in a table), or of the HTTP module if it starts with "http." (http.idle_timeout=3600). static=DIR serves the files of
-- a directory as /DIR/. cert=FILE and key=FILE make the listener speak TLS.

local http = require "moonbridge_http"

local values = {["true"] = true, ["false"] = false}

local function value_of(text)
	if values[text] ~= nil then return values[text] end
	return tonumber(text) or text
end

return function(callback, port, ...)
	if not tonumber(port) then
		error("usage: mbserve SCRIPT PORT [name=value ...]", 0)
	end
	local pool = {{proto = "tcp4", port = tonumber(port), localhost = true}}
	local http_options = {}
	for _, option in ipairs {...} do
		local name, value = option:match("^([%w_.]+)=(.*)$")
		if not name then
			error("not an option of the form name=value: " .. option, 0)
		end
		local http_name = name:match("^http%.(.+)$")
		if http_name then
			http_options[http_name] = value_of(value)
		elseif name:find(".", 1, true) then
			local option_name, entry = name:match("^(.-)%.(.+)$")
			pool[option_name] = pool[option_name] or {}
			pool[option_name][entry] = value_of(value)
		elseif name == "static" then
			pool.static = {["/" .. value .. "/"] = value}
		elseif name == "cert" or name == "key" then
			pool[1].tls = pool[1].tls or {}
			pool[1].tls[name] = value
		else
			pool[name] = value_of(value)
		end
	end
	pool.connect = http.generate_handler(callback, http_options)
	listen(pool)
end
