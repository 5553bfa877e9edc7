local http = require "moonbridge_http"

listen{
	{ proto = "tcp4", port = 0 },
	max_frok = 5,
	connect = http.generate_handler(print),
}
