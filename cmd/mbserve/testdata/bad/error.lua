local function fail()
	error("no database")
end

fail()
