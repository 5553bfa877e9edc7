local http = require "moonbridge_http"
listen{ { proto = "udp", port = 0 }, connect = http.generate_handler(print) }
