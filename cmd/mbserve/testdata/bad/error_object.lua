error(setmetatable({}, { __tostring = function() return "an object that explains itself" end }))
