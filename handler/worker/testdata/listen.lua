-- listen{} calls of all kinds. The server refuses port 81.
local http = require "moonbridge_http"

local function try(...)
	print(pcall(listen, ...))
end

try()
try(5)
try{ "tcp4" }
try{ { proto = "tcp4", [1] = 2 } }
try{ { proto = "tcp4" }, [true] = 1 }
try{ { proto = "tcp4" }, [7] = { proto = "tcp4" } }
try{ { proto = "tcp4", port = 81 }, connect = print }
try{ { proto = "tcp4", port = 80 }, prepare = ("x"):rep(2000000) }
listen{
	{ proto = "tcp4", port = 80, localhost = true, path = "a\0b" },
	{},
	pre_fork = 2, fork_delay = 0.1, idle_timeout = false, prepare = print, memory_limit = {},
	connect = http.generate_handler({ idle_timeout = false, drain_timeout = 0.5, chunk_size = 5, on_client_gone = "error", client_gone_timeout = 0.5 }, print),
}
listen{ { proto = "tcp4", port = 81 }, connect = print }
