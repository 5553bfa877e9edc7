-- For the access log: answers, a failure, a slow handler, and a stream that is cut off.
local http = require "moonbridge_http"

local function nap(seconds)
  timeout(0)
  os.execute("sleep " .. seconds)
end

listen{
  { proto = "tcp4", port = 0, localhost = true },
  pre_fork = 1, min_fork = 1, max_fork = 1,
  connect = http.generate_handler(function(request)
    local path = request.path
    if path == "fail" then
      error("on purpose")
    elseif path == "slow" then
      nap(0.3)
      request:send_status("202 Accepted")
    elseif path == "broken" then
      request:send_status("200 OK")
      request:send_header("Content-Length", 100)
      request:send_data("only this")
      request:flush()
      error("in the middle")
    else
      request:send_status("200 OK")
    end
    request:send_data("hello")
    request:finish()
  end)
}
