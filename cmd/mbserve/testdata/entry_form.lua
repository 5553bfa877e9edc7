-- Shows a form: the tables, or with ?stream the arguments of stream handlers. Then tries calls that are too late.
local http = require "moonbridge_http"

local function show(about)
	return "{" .. tostring(about.field_name) .. "," .. tostring(about.file_name) .. "," .. tostring(about.content_type) .. "}"
end

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	connect = http.generate_handler({ maximum_input_chunk_size = 4 }, function(request)
		local lines = {}
		local function line(...) lines[#lines + 1] = table.concat({ ... }, " ") end
		if request.query == "?stream" then
			local function handler(tag)
				return function(chunk, about)
					line(tag, chunk and "[" .. chunk .. "]" or "end", about and show(about) or nil)
				end
			end
			request:stream_post_params("^f", handler("f"))
			request:stream_post_params("^fi", handler("fi"))
			request:stream_post_param("file", handler("file"))
		end
		request:process_request_body()
		request:process_request_body() -- has no effect
		for _, name in ipairs{ "file", "fire", "text" } do
			local about = request.post_metadata and request.post_metadata[name]
			line(name, tostring(request.post_params[name]), #request.post_params_list[name], about and show(about) or tostring(about),
				request.post_metadata_list and #request.post_metadata_list[name] or "none")
		end
		for _, verb in ipairs{ "stream_post_param", "stream_post_params" } do
			line((select(2, pcall(request[verb], request, "x", print))))
		end
		line((select(2, pcall(request.stream_request_body, request, print))))
		request:send_status("200 OK")
		request:send_data(table.concat(lines, "\n"), "\n")
	end),
}
