-- What the application knows, apart from how it is asked.
local guests = {}

function guests.greeting(name)
	if name == nil or name == "" then name = "world" end
	return "Hello, " .. name .. "!"
end

return guests
