local http = require "moonbridge_http"
local kept

local function message(f, ...)
  return (select(2, pcall(f, ...)))
end

listen{
  {proto = "tcp4", port = 1},
  connect = http.generate_handler(function(request)
    local socket = request.socket
    if request.path == "cancel" or request.path == "cancel_late" then
      if request.path == "cancel_late" then
        request:send_status("200 OK")
        request:send_data("x")
        request:flush()
      end
      socket:cancel()
      socket:cancel()
      for _, f in ipairs{request.send_status, request.send_header, request.send_data, request.flush, request.finish} do
        io.stderr:write(message(f, request, "200 OK", "x"), "\n")
      end
      return
    end
    request:send_status("200 OK")
    local function say(...)
      for i = 1, select("#", ...) do
        request:send_data(i > 1 and " " or "", (select(i, ...)))
      end
      request:send_data("\n")
    end
    say(socket == request.socket, socket.remote_ip4 == "\127\0\0\2", socket.remote_ip6, socket.remote_tcpport,
      socket.local_ip4 == "\127\0\0\1", socket.local_tcpport, socket.interval)
    socket.mine = "own"
    say(request.socket.mine)
    for _, name in ipairs{"input", "output"} do
      say(message(function() return socket[name] end))
    end
    for _, name in ipairs{"read", "write", "flush", "lines", "readuntil", "close"} do
      say(message(socket[name], socket))
    end
    if kept then
      say(message(function() return kept.mine end))
      say(message(socket.cancel, kept))
    end
    kept = socket
  end)
}
