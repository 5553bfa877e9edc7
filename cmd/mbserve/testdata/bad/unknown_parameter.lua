local http = require "moonbridge_http"

listen{
	{ proto = "tcp4", port = 0, locahost = true },
	connect = http.generate_handler(print),
}
