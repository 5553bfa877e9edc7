-- What comes is sent back in pieces of 64 KiB.
listen{
  {proto = "tcp4", port = 1},
  connect = function(socket)
    while true do
      local s = socket:read(65536)
      if not s then
        return
      end
      socket:write(s)
      socket:flush()
    end
  end
}
