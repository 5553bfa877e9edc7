local http = require "moonbridge_http"
http.generate_handler(print, { request_body_limit = 5 })
