-- The first line that a client sends names what is done with its connection.
local cases, kept, kept_input = {}, nil, nil

local function say(socket, ...)
  for i = 1, select("#", ...) do
    socket:write(tostring((select(i, ...))), i < select("#", ...) and " " or "\n")
  end
end

local function hex(s)
  return s and (s:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

function cases.fields(socket)
  say(socket, hex(socket.local_ip4), hex(socket.local_ip6), type(socket.local_tcpport), socket.local_tcpport)
  say(socket, hex(socket.remote_ip4), hex(socket.remote_ip6), type(socket.remote_tcpport), socket.remote_tcpport)
  say(socket, socket.interval, socket.nonsense, socket[1], type(socket), (tostring(socket):gsub("0x%x+", "X")))
  socket.mine, socket[1] = "own", 2
  say(socket, socket.mine, socket[1], socket.input == socket.input, socket.output == socket.input)
  say(socket, (select(2, pcall(function() socket[nil] = 1 end)):match("index is nil")))
end

function cases.alias(socket)
  say(socket, socket:read("*l", 3, "*n", "*L"))
  for line in socket:lines() do
    say(socket, "<" .. line .. ">")
    if line == "last" then break end
  end
  say(socket, socket:readuntil(";", 100), socket:readuntil(";", 3), socket:read("*a"))
  say(socket, socket:write("a", 1, 2.5):write("b") == socket.output, socket.output:write("") == socket.output)
  say(socket, socket:flush() and true)
end

function cases.misuse(socket)
  say(socket, pcall(function() socket.read() end))
  say(socket, pcall(function() socket.write("x") end))
  say(socket, pcall(function() socket.close(5) end))
  say(socket, pcall(function() socket.cancel({}) end))
  say(socket, pcall(function() socket:read("x") end))
  say(socket, pcall(function() socket:write({}) end))
  say(socket, pcall(function() socket:close("soon") end))
  say(socket, pcall(function() socket:close(-1) end))
  say(socket, pcall(function() socket:close(0/0) end))
  say(socket, pcall(function() return kept.remote_ip4 end))
  say(socket, pcall(function() kept:write("x") end))
  say(socket, pcall(function() kept.x = 1 end))
  say(socket, (tostring(kept):gsub("0x%x+", "X")))
  say(socket, io.type(kept_input), pcall(function() local s = kept_input:read() return s end))
end

function cases.keep(socket)
  kept, kept_input = socket, socket.input
  io.input(socket.input)
  say(socket, io.read())
  io.input(io.stdin)
end

function cases.close(socket)
  socket:write("before")
  local log = io.stderr
  log:write("close ", tostring(socket:close()), " ", tostring(socket:close(1)), " ", tostring(socket:cancel()), "\n")
  log:write("then ", tostring(io.type(socket.input)), " ", tostring(io.type(socket.output)), " ",
    (tostring(socket):gsub("0x%x+", "X")), " ", tostring(socket.remote_tcpport ~= nil), "\n")
  for _, method in ipairs{"read", "write", "flush", "lines", "readuntil"} do
    log:write(select(2, pcall(function() socket[method](socket, "\n") end)), "\n")
  end
end

function cases.close_wait(socket)
  socket:write(("x"):rep(100000))
  io.stderr:write("closed: ", tostring(socket:close(20)), "\n")
end

function cases.close_late(socket)
  socket:write(("x"):rep(30000))
  local ok, message = socket:close(0.2)
  io.stderr:write("closed: ", tostring(ok), " ", tostring(message), "\n")
end

function cases.close_background(socket)
  socket:write(("x"):rep(30000), "the end")
  return socket:close() -- not false
end

function cases.unread(socket)
  say(socket, socket:read(1), "the rest is not read")
end

function cases.cancel(socket)
  socket:write("never sent")
  socket:cancel()
  io.stderr:write("cancelled: ", tostring(socket:close()), " ", tostring(io.type(socket.output)), "\n")
end

function cases.gone(socket)
  local s = socket:read("*a") -- the reset
  local ok, message, number
  repeat
    ok, message, number = socket:write(("x"):rep(100000))
  until not ok
  io.stderr:write("write: ", tostring(ok), " ", message, " ", number, "\n")
end

function cases.half_close(socket)
  say(socket, "output ends")
  socket.output:close()
  io.stderr:write("then read ", socket:read("*l"), "\n")
end

function cases.retire() return false end

function cases.fail(socket)
  socket:write("never sent")
  error("handler failed")
end

cases["fail after close"] = function(socket)
  say(socket, "all")
  socket:close()
  error("handler failed")
end

function cases.exit() os.exit(9) end

listen{
  {proto = "tcp4", port = 1},
  connect = function(socket)
    return cases[socket:read("*l")](socket)
  end,
  finish = function() io.stderr:write("finish\n") end
}
