-- For --dev: handlers that fail in every possible way.
local http = require "moonbridge_http"
local broken = require "broken_module"

local function fail(request)
  -- <b>the line before</b>
  error("on purpose: <script>alert('&')</script> \27[31m")
end

local handlers = {
  fail = fail,
  module = function() broken.fail(nil) end,
  after = function(request)
    request:send_status("200 OK")
    request:send_header("Set-Cookie", "secret=1")
    request:send_data("a beginning that nobody sees")
    error("after send_data")
  end,
  out = function(request)
    request:send_status("200 OK")
    request:send_data("a beginning")
    request:flush()
    error("after flush")
  end,
  table = function() error({}) end,
  long = function() error(("x"):rep(1e6)) end,
  nothing = function() end,
  good = function(request)
    request:send_status("200 OK")
    request:send_data("good")
  end
}

listen{
  { proto = "tcp4", port = 0, localhost = true },
  connect = http.generate_handler({
    static_headers = { "X-Static: 1" }
  }, function(request)
    handlers[request.path](request)
  end)
}
