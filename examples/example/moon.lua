-- The phase of the Moon, accurate to about half a day, which is enough for an example.
local moon = {}

local MONTH = 29.530588853 -- days from one new moon to the next, on average
local NEW_MOON = 947182440 -- one of them: 6 January 2000, 18:14 UTC

local names = { "new moon", "waxing crescent", "first quarter", "waxing gibbous", "full moon", "waning gibbous",
	"last quarter", "waning crescent" }

-- Returns the name of the phase, the age of the Moon in days, and how much of its disc is lit, from 0 to 1.
function moon.phase(time)
	local age = (time - NEW_MOON) / 86400 % MONTH
	local name = names[math.floor(age / MONTH * #names + 0.5) % #names + 1]
	return name, age, (1 - math.cos(2 * math.pi * age / MONTH)) / 2
end

-- Returns an SVG picture of the Moon as seen from the northern half of the Earth. The outline of the lit part is half a
-- circle and half an ellipse.
function moon.picture(time, title)
	local _, age, lit = moon.phase(time)
	local waxing = age < MONTH / 2
	return ('<svg class="moon" viewBox="-52 -52 104 104"><title>%s</title><circle r="50"/>'
		.. '<path d="M0-50A50 50 0 0 %d 0 50A%.1f 50 0 0 %d 0-50"/></svg>'):format(title, waxing and 1 or 0,
		math.abs(100 * lit - 50), waxing == (lit > 0.5) and 1 or 0)
end

-- Returns the rows of an HTML table with a picture for each day of a year.
function moon.almanac(year)
	local rows = {}
	for month = 1, 12 do
		local first = os.time{ year = year, month = month, day = 1, hour = 12 }
		local row = { "<tr><th>" .. os.date("%B", first) .. "</th>" }
		for day = 1, 31 do
			local time = os.time{ year = year, month = month, day = day, hour = 12 }
			if os.date("*t", time).month == month then
				row[#row + 1] = "<td>" .. moon.picture(time, os.date("%d %B: ", time) .. moon.phase(time)) .. "</td>"
			end
		end
		rows[month] = table.concat(row) .. "</tr>\n"
	end
	return table.concat(rows)
end

return moon
