local http = require "moonbridge_http"

listen{ { proto = "tcp4", port = tonumber((...)), localhost = true }, connect = http.generate_handler(print) }
