-- What handlers write to standard error.
local http = require "moonbridge_http"

local write = {
  lines = function() io.stderr:write("first line\n\tsecond line\n") end,
  binary = function() io.stderr:write("\0\1\27[31mred\255\n") end,
  injection = function() io.stderr:write('x level=ERROR msg="forged" y\n') end,
  long = function()
    for _ = 1, 256 do io.stderr:write(("z"):rep(4096)) end
    io.stderr:write("\nafter the long line\n")
  end,
  flood = function()
    for _ = 1, 5000 do io.stderr:write("flooding\n") end
  end,
  last = function()
    io.stderr:write("last words without an end")
    os.exit(3)
  end
}

listen{
  { proto = "tcp4", port = 0, localhost = true },
  connect = http.generate_handler(function(request)
    write[request.path]()
    request:send_status("200 OK")
    request:send_data("written")
    request:finish()
  end)
}
