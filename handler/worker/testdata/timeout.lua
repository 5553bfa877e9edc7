-- timeout(): the path, or the first line on a raw connection, names what is done.
local http = require "moonbridge_http"
local mode = ...
print("top", pcall(timeout, 1))
print("call", pcall(timeout, 1, print))

local function forever() while true do end end
local function message(f, ...) return (select(2, pcall(f, ...))) end

local cases = {}

function cases.loop() timeout(0.05) forever() end
function cases.c() timeout(0.05) io.open(mode) end -- a FIFO without a writer
function cases.nested() timeout(60) timeout(0.05, forever) end
function cases.outer() timeout(0.05) timeout(60, forever) end
function cases.outer_off() timeout(0.05) timeout(60, function() timeout(0) forever() end) end
function cases.past() timeout(60, function() end) timeout(0.05) pcall(error) forever() end
function cases.after_error() timeout(0.05) pcall(timeout, 60, error) forever() end

function cases.late(request)
  request:send_status("200 OK")
  request:send_data("early")
  request:flush()
  cases.loop()
end

function cases.held(request)
  request:send_status("200 OK")
  request:send_data("held back")
  cases.loop()
end

function cases.interim(request)
  request:send_status("103 Early Hints")
  request:finish_headers()
  cases.loop()
end

-- A limit that is not reached does nothing, and ends with the exchange.
function cases.fine(request)
  local answers = {}
  local function say(...)
    local t = {...}
    for i = 1, select("#", ...) do t[i] = tostring(t[i]) end
    answers[#answers + 1] = table.concat(t, " ")
  end
  local function near(x) return timeout() > x - 30 and timeout() <= x and x or timeout() end
  say(timeout(), select("#", timeout(100)), near(100))
  timeout(0) say(timeout())
  timeout(300)
  say(timeout(200, function(...) return select("#", ...), near(200), ... end, "a", nil, "b") == 3, near(300))
  say(select("#", timeout(1, function() end)), timeout(400, near, 300))
  say(timeout(200, function() timeout(100) local x = near(100) timeout(0) return x, near(300) end))
  say(near(300), message(timeout, 200, error, "raised"), near(300), type(message(timeout, 1, error, {})))
  timeout(0)
  say(timeout(0, function() return timeout() end), timeout(200, near, 200), timeout())
  timeout(1)
  request:send_status("200 OK")
  request:send_data(table.concat(answers, "\n"), "\n")
end

cases["fine/wait"] = function(request)
  os.execute("sleep 1.2") -- longer than what the exchange before it had left
  request:send_status("200 OK")
  request:send_data(timeout())
end

function cases.misuse(request)
  request:send_status("200 OK")
  for _, args in ipairs{{"1"}, {-1}, {0/0}, {1e10}, {false}, {1, 2}, {1, "f"}} do
    local ok, text = pcall(function() timeout((unpack or table.unpack)(args)) end)
    request:send_data(text, "\n")
  end
  request:send_data(message(function() timeout(nil) end), "\n", message(function() timeout(1, nil) end), "\n")
end

-- Says which limit there is in finish, and in a finalizer, which runs when Lua ends.
local function finished()
  local function say(who)
    local left = timeout()
    io.stderr:write(who, " ", tostring(left > 0 and left <= 60), "\n")
  end
  say("finish")
  timeout(0)
  local function at_end() say("finalizer") end
  if newproxy then
    kept = newproxy(true)
    getmetatable(kept).__gc = at_end
  else
    kept = setmetatable({}, {__gc = at_end})
  end
end

listen{
  {proto = "tcp4", port = 1},
  {proto = "tcp4", port = 2, connect = function(socket)
    socket:write("written")
    if socket:read("*l") == "close" then
      socket:write(("x"):rep(30000)) -- more than this client has room for
      timeout(0.05)
      socket:close(60)
    else
      socket:flush()
      cases.loop()
    end
  end},
  {proto = "interval", delay = 1, connect = cases.loop},
  prepare = function() if mode == "prepare" then cases.loop() end timeout(1) end,
  connect = http.generate_handler(function(request) cases[request.path](request) end),
  finish = function()
    if mode == "finish" then cases.loop() end
    if mode == "finished" then return finished() end
    timeout(1)
  end
}
