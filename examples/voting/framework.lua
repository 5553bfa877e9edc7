-- A framework for voting.lua, in the style of those that were written for Moonbridge 1.0: pages and actions are functions in
-- tables, and its listen function makes the HTTP handlers from them.
local http = require "moonbridge_http"

local moonbridge_listen = listen
local framework = { pages = {}, actions = {} }

-- Sends a complete response. body may be nil.
function framework.send(request, status, content_type, body)
	request:send_status(status)
	if not http.status_without_response_body[status:sub(1, 3)] then
		request:send_header("Content-Type", content_type)
		request:send_data(body)
	end
	request:finish()
end

function framework.page(request, title, ...)
	framework.send(request, "200 OK", "text/html; charset=utf-8", "<!DOCTYPE html>\n<title>" .. http.encode_html(title)
		.. "</title>\n<h1>" .. http.encode_html(title) .. "</h1>\n" .. table.concat({ ... }, "\n") .. "\n")
end

-- After an action, the browser gets a page with a message.
function framework.redirect(request, message)
	request:send_status("303 See Other")
	request:send_header("Location", "http://" .. request.host .. "/?message=" .. http.encode_uri(message))
end

local function run(request, f)
	local ok, message = pcall(f, request)
	if ok then return end
	if request.faulty then error(message, 0) end -- the connection is of no more use
	io.stderr:write(http.decode_uri(request.path), ": ", tostring(message), "\n")
	framework.send(request, "500 Internal Server Error", "text/plain", "This has failed.\n")
end

local function dispatch(request)
	local table_of = request.method == "GET" and framework.pages or framework.actions
	local f = table_of[request.path]
	if f then return run(request, f) end
	if request.fresh then request:monologue() end -- whatever else the client sends does not matter
	framework.send(request, "404 Not Found", "text/plain", "There is nothing here.\n")
end

-- Takes what Moonbridge's own function takes. Listeners without a handler get pages and actions, with the http_options.
-- They stay in the table, and the server says once that it ignores them.
function framework.listen(args)
	local options = { post_stream_style = "1.0" }
	for name, value in pairs(args.http_options or {}) do options[name] = value end
	for _, listener in ipairs(args) do
		listener.handler = listener.handler or http.generate_handler(options, dispatch)
	end
	moonbridge_listen(args)
end

return framework
