-- Errors of every kind, for what the server is told of them.
local when = ...
local http = require "moonbridge_http"

local cases = {}

function cases.plain() error("plain") end
function cases.nul() error("bad packet \0\1\2 from device 5") end
function cases.number() error(42) end
function cases.none() error(nil) end
function cases.boolean() error(true) end
function cases.fields() error({ code = 7, text = "a\0b", [1] = "x", inner = {} }) end
function cases.object() error(setmetatable({}, { __tostring = function() return "an \0 object" end })) end
function cases.tostring_fails() error(setmetatable({ code = 7 }, { __tostring = function(e) return "code " .. e.text end })) end
function cases.tostring_fails_badly() error(setmetatable({}, { __tostring = function(e) error(e) end })) end
function cases.tostring_returns() error(setmetatable({}, { __tostring = function() return {} end })) end
function cases.nested() error("outer: " .. select(2, pcall(error, debug.traceback("inner")))) end
function cases.long() error(("m"):rep(200000)) end
function cases.deep()
	local function f(n) if n == 0 then error(("m"):rep(70000)) end return (f(n - 1)) end
	f(5000)
end
function cases.id(r) r:send_status("200 OK") r:send_data(r.id) end
function cases.body(r) r:send_status("200 OK") r:send_data(r.body) end
function cases.ok(r) r:send_status("200 OK") end
function cases.form(r) r:send_status("200 OK") r:send_data(r.post_params.a) end

local handler = http.generate_handler(function(request) return cases[request.path](request) end)

listen{
	{ proto = "tcp4", port = 8080 },
	{ proto = "interval", delay = 1, name = "tick", connect = function() error("ticked") end },
	{ proto = "tcp4", port = 8081, connect = function(socket)
		if socket:read("*l") == "http" then return handler(socket) end
		error("raw")
	end },
	prepare = function() if when == "prepare" then error("unprepared") end end,
	finish = function() error("unfinished") end,
	connect = handler,
}
