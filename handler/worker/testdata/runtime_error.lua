local function load()
	error("cannot load")
end
load()
