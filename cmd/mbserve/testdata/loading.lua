-- Never gets to the end: waits for somebody to open the FIFO that is the argument.
io.stderr:write("loading\n")
io.open((...))
listen{}
