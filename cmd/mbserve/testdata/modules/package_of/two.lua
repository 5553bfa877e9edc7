return { name = (...) }
