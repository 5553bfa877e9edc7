listen{ { proto = "tcp4", port = 0 } }
