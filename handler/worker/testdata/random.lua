-- Random numbers of the script, of prepare, and of handlers. Nothing here seeds the generator but what is to have no effect.
local http = require "moonbridge_http"
local function draw() return ("%d %d"):format(math.random(0, 2^30), math.random(0, 2^30)) end

local of_script = draw()
math.randomseed(42)
if ... == "nothing" then math.randomseed = nil end
local of_prepare

listen{
	{ proto = "tcp4", port = 1 },
	prepare = function() of_prepare = draw() end,
	connect = http.generate_handler(function(request)
		request:send_status("200 OK")
		if request.path == "fixed" then math.randomseed(7) end
		local number = math.random()
		assert(number >= 0 and number < 1)
		request:send_data(of_script, ",", of_prepare, ",", draw())
	end),
}
