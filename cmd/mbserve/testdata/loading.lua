-- Never ends: waits until the FIFO given as argument is opened.
io.stderr:write("loading\n")
io.open((...))
listen{}
