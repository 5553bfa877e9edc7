-- Takes forms. /save writes files named file_… to the directory, while they arrive; /show keeps everything in memory;
-- /late sends its answer first.
local http = require "moonbridge_http"
local dir = ...

local function saver(lines)
	local out, size
	return function(chunk, meta)
		if meta then
			out, size = assert(io.open(dir .. "/" .. meta.field_name, "wb")), 0
			lines[#lines + 1] = meta.field_name .. " " .. tostring(meta.file_name) .. " " .. tostring(meta.content_type)
		end
		if chunk then
			size = size + #chunk
			assert(out:write(chunk))
		else
			out:close()
			lines[#lines] = lines[#lines] .. " " .. size
		end
	end
end

local function show(request, lines)
	for name, values in pairs(request.post_params_list) do
		for i, value in ipairs(values) do
			local meta = request.post_metadata and request.post_metadata_list[name][i] or {}
			lines[#lines + 1] = name .. "=" .. value .. " " .. tostring(meta.file_name) .. " " .. tostring(meta.content_type)
		end
	end
	table.sort(lines)
	return table.concat(lines, "\n") .. "\n"
end

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	max_fork = 1,
	connect = http.generate_handler({ request_body_size_limit = 40000000 }, function(request)
		local lines = {}
		if request.path == "late" then request:defer_reading() end
		if request.path ~= "show" then request:stream_post_params("^file_[0-9]+$", saver(lines)) end
		request:send_status("200 OK")
		if request.path == "late" then request:flush() end
		request:send_data(show(request, lines))
	end),
}
