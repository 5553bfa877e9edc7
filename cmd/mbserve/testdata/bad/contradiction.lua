local http = require "moonbridge_http"
listen{ { proto = "tcp4", port = 0 }, min_fork = 5, max_fork = 3, connect = http.generate_handler(print) }
