-- Prints which of the modules on the command line are not installed. The script is only checked, never served.
for _, name in ipairs(arg) do
	local found, message = pcall(require, name)
	if not found then print("missing: " .. name .. ": " .. message:match("[^\n]*")) end
end

listen{ { proto = "interval", delay = 1, connect = function() end } }
