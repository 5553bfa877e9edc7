-- File handles: the first line that a client sends names what is done.
local cases = {}

local function say(socket, ...)
  for i = 1, select("#", ...) do
    socket:write(tostring((select(i, ...))), i < select("#", ...) and "|" or "\n")
  end
end

function cases.types(socket)
  say(socket, io.type(socket.input), io.type(socket.output), tostring(socket.input):match("^file %("))
  say(socket, socket.input:seek())
  say(socket, socket.input:seek("set", 0))
  say(socket, socket.output:seek("cur", 1))
  say(socket, socket.input:setvbuf("full", 100), socket.output:setvbuf("no"))
  say(socket, socket:read("*a"))
  say(socket, socket.input:close(), io.type(socket.input), io.type(socket.output))
  socket:flush()
  io.stderr:write("io.close: ", tostring(io.close(socket.output)), " ", io.type(socket.output), "\n")
end

function cases.formats(socket)
  say(socket, socket:read("*l", "l", "*L", "L", "*n", "n"))
  say(socket, socket:read(0), socket.input:read(1, 4))
  say(socket, socket:read())
  say(socket, socket:read("*a"))
  say(socket, socket:read("a"), socket:read("*l"), socket:read(1), socket:read(0), socket:read("L"))
end

function cases.io(socket)
  io.input(socket.input)
  io.output(socket.output)
  say(socket, io.read("*l"), io.input() == socket.input)
  for line in io.lines() do
    io.write("<", line, ">")
    if line == "3" then break end
  end
  for line in socket.input:lines("L") do io.write(line) end
  io.write("end\n")
  io.flush()
  io.input(io.stdin)
  io.output(io.stdout)
end

function cases.readuntil(socket)
  local r = function(...) return say(socket, socket.input:readuntil(...)) end
  r("\n") r(";") r(";", 2) r(";", 2) r("\0") r("\255") r("x", 0) r("x", math.huge) r("x") r("x", 0)
end

function cases.readuntil_misuse(socket)
  local f = socket.input
  for _, args in ipairs{{}, {1}, {""}, {"ab"}, {"a", "x"}, {"a", -1}, {"a", 0/0}, {"a", 1.5}} do
    local ok, message = pcall(function() local s = f:readuntil((unpack or table.unpack)(args)) return s end)
    say(socket, ok, message)
  end
  say(socket, pcall(function() local s = f.readuntil("a") return s end))
  f:close()
  say(socket, pcall(function() local s = f:readuntil("a") return s end))
end

-- On a file of any kind, and across buffers.
function cases.files(socket)
  local f = assert(io.tmpfile())
  say(socket, f:write("a,b") == f, f:write(",", 1):write(2) == f)
  f:write(("x"):rep(100000), ",tail")
  f:seek("set")
  say(socket, f:readuntil(","), f:readuntil(","), f:readuntil(",", 1))
  say(socket, #f:readuntil(","), f:readuntil(","), f:readuntil(","))
  f:seek("set", 2)
  say(socket, f:read(1), f:readuntil(","), f:read(1), #f:readuntil("y", 5000), f:seek())
  f:close()
  local p = io.popen("printf 'one;two'")
  say(socket, p:readuntil(";"), p:readuntil(";"), p:readuntil(";"), (p:close()))
  local d = io.open("/")
  say(socket, d:readuntil("x"))
  d:close()
end

-- A megabyte in lines of one byte, and in one piece.
function cases.large(socket)
  local n, s = 0
  repeat
    s = socket:readuntil("\n")
    n = n + 1
  until s == ".\n"
  s = socket:readuntil(".")
  say(socket, n, #s, s:sub(-1), socket:readuntil("."))
end

-- What a connection leaves behind does not disturb the next one.
function cases.leave(socket)
  io.input(socket.input)
  io.output(socket.output)
  io.write("left\n")
end

function cases.after(socket)
  say(socket, io.type(io.input()), io.type(io.output()))
  io.input(io.stdin)
  io.output(io.stdout)
end

function cases.replaced(socket)
  io.open = error
  say(socket, "fine")
end

listen{
  {proto = "tcp4", port = 1},
  connect = function(socket)
    return cases[socket:read("*l")](socket)
  end
}
