local http = require "moonbridge_http"

listen{ { proto = "local", path = (...) }, connect = http.generate_handler(print) }
