-- The first line is a Lua expression: the formats for reading the rest. Shows the results.
local load = loadstring or load
local unpack = unpack or table.unpack

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	gone_after = false, -- clients that close their sending side at once are answered on a busy machine too
	connect = function(socket)
		local formats = load("return { " .. socket:readuntil("\n") .. " }")()
		local function show(...)
			for i = 1, select("#", ...) do
				local v = select(i, ...)
				if type(v) == "number" then v = ("%g"):format(v) end
				socket:write(v == nil and "nil" or ("%q"):format(v), "\n")
			end
		end
		if formats.readuntil then
			repeat
				local piece = socket.input:readuntil(formats.readuntil, formats.maxlen)
				show(piece)
			until not piece
		elseif formats.lines then
			for line in socket.input:lines() do show(line) end
		else
			show(socket.input:read(unpack(formats)))
		end
	end,
}
