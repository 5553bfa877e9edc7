error("first line\nsecond line", 0)
