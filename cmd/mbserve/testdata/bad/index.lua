local config = nil
listen{ { proto = "tcp4", port = config.port } }
