local http = require "moonbridge_http"
listen{ { proto = "tcp4", port = 70000 }, connect = http.generate_handler(print) }
