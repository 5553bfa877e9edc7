-- Prints what a script finds.
local a, b = ...
print("args", a, b, select("#", ...), arg[0], arg[1], arg[2])
print("version", _MOONBRIDGE_VERSION)
print("pack", table.pack(1, nil, 3).n, table.unpack({ 4, 5 }))
print("rawlen", rawlen({ 1, 2 }), rawlen("abc"), pcall(rawlen, 5))
print("path", package.path)
print("cpath", package.cpath)
print("module", require("module").name)
listen{ { proto = "interval", delay = 1, connect = function() end } }
