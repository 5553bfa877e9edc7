local http = require "moonbridge_http"
listen{ { proto = "tcp4", port = 0 }, pre_fork = "many", connect = http.generate_handler(print) }
