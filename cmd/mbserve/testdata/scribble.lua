-- Two pools. The handler of the first one can write random numbers over everything that its worker may write to: an
-- application with a broken C module. The second pool must not notice.
local http = require "moonbridge_http"
local found, ffi = pcall(require, "ffi")

if found then
	ffi.cdef[[
	struct scribble_header {
		uint32_t magic, version, loops, workers, cells, queue_cap, in_window, out_window;
		uint64_t in_size, out_size, in_loops, in_loop_stride, in_workers, in_worker_stride, in_cells, in_cell_stride,
			out_loops, out_loop_stride, out_workers, out_worker_stride, out_cells, out_cell_stride;
	};
	struct scribble_time { long s, ns; };
	int clock_gettime(int, struct scribble_time *);
	int mprotect(void *, size_t, int);
	void *mmap(void *, size_t, int, int, int, long);
	int open(const char *, int, ...);
	long write(int, const void *, size_t);
	int close(int);
	]]
end

-- The addresses of the two segments, as numbers, with the names of their mappings.
local function segments()
	local place = {}
	for line in io.lines("/proc/self/maps") do
		local from, to, mode, name = line:match("^(%x+)%-(%x+) (%S+) .*memfd:moonbridge%-(%a+)")
		if name then
			place[name] = { from = tonumber(from, 16), to = tonumber(to, 16), mode = mode, range = from .. "-" .. to }
		end
	end
	return place
end

local function pointer(type, number) return ffi.cast(type, ffi.cast("uintptr_t", number)) end

local function milliseconds(t)
	ffi.C.clock_gettime(1, t)
	return tonumber(t.s) * 1e3 + tonumber(t.ns) / 1e6
end

-- Nonsensical values, and plausible ones.
local function value(random, words, count, kind)
	if kind == 0 then return random(0, 2^32 - 1) end
	if kind == 1 then return random(0, 255) end
	if kind == 2 then return words[random(0, count - 1)] end
	return 2 ^ random(0, 31)
end

local function scribble(seed, span)
	math.randomseed(seed)
	local place = segments()
	local h = pointer("const struct scribble_header *", place["in"].from)
	local words = pointer("volatile uint32_t *", place.out.from)
	local random = math.random
	local loops, workers, cells = h.loops, h.workers, h.cells
	local function number(x) return tonumber(x) end
	local at_loops, loop_stride = number(h.out_loops) / 4, number(h.out_loop_stride) / 4
	local at_workers, worker_stride = number(h.out_workers) / 4, number(h.out_worker_stride) / 4
	local at_cells, cell_stride = number(h.out_cells) / 4, number(h.out_cell_stride) / 4
	local total = number(h.out_size) / 4
	local t = ffi.new("struct scribble_time")
	local stop, n = milliseconds(t) + span, 0
	-- Some seeds leave the owner words alone, since changes there are noticed first.
	local first = seed % 3 == 0 and 2 or 0
	repeat
		for _ = 1, 50 do
			local what, at = random(0, 9)
			if what < 5 then
				at = at_cells + random(0, loops * cells - 1) * cell_stride + random(first, 15)
			elseif what < 7 then
				at = at_loops + random(0, loops - 1) * loop_stride + random(0, 40)
			elseif what < 8 then
				at = at_workers + random(0, workers - 1) * worker_stride + random(0, 3)
			else
				at = random(0, total - 1)
				if first > 0 then
					at = at_cells + random(0, loops * cells - 1) * cell_stride + random(16, 16000)
				end
			end
			words[at] = value(random, words, total, random(0, 3))
			n = n + 1
		end
	until milliseconds(t) > stop
	return n
end

local function say(request, text)
	request:send_status("200 OK")
	request:send_header("Content-Type", "text/plain")
	request:send_data(text)
end

-- Every part of the answer says which request it belongs to.
local function nonce(request)
	local name, size = request.query:match("^%?(%w+):(%d+)$")
	local body = request.method == "POST" and request.body or ""
	request:send_status("200 OK")
	request:send_header("X-Nonce", name)
	request:send_data((name .. ";"):rep(size), body)
end

-- Every way to write to the segment of requests.
local protect = {}

local function try_to_map(name)
	local fd = ffi.C.open(name, 2)
	if fd < 0 then return false end
	local p = ffi.C.mmap(nil, 4096, 3, 1, fd, 0)
	if p ~= ffi.cast("void *", -1) then
		ffi.cast("uint32_t *", p)[0] = 1
	end
	ffi.C.write(fd, "xxxx", 4)
	ffi.C.close(fd)
	return true
end

function protect.mem(s)
	local f = assert(io.open("/proc/self/mem", "r+b"))
	f:seek("set", s.from)
	f:write("xxxx")
	f:close()
end
function protect.mprotect(s) ffi.C.mprotect(pointer("void *", s.from), 4096, 3); protect.mem(s) end
function protect.map_files(s) try_to_map("/proc/self/map_files/" .. s.range) end
function protect.server(s)
	-- the server has the file open: its parent's parent
	local parent = function(pid) return io.open("/proc/" .. pid .. "/status"):read("*a"):match("PPid:%s*(%d+)") end
	local server, tried = parent(parent("self")), 0
	local list = io.popen("ls -l /proc/" .. server .. "/fd")
	for line in list:lines() do
		local fd = line:match("(%d+) %-> /memfd:moonbridge%-in")
		if fd and try_to_map("/proc/" .. server .. "/fd/" .. fd) then tried = tried + 1 end
	end
	list:close()
	assert(tried > 0, "nothing was tried")
end
function protect.store(s) pointer("uint32_t *", s.from)[0] = 1 end

local function first(request)
	local path, a, b = request.path, (request.query or ""):match("^%?([%w_]+),?(%d*)")
	if path == "ffi" then return say(request, tostring(found)) end
	if path == "scribble" then return say(request, tostring(scribble(tonumber(a), tonumber(b)))) end
	if path == "protect" then
		local s = segments()["in"]
		local word = pointer("const volatile uint32_t *", s.from)
		local before = word[0]
		local ok, err = pcall(protect[a], s)
		return say(request, ("%s %s %s"):format(s.mode, word[0] == before and "unchanged" or "CHANGED", ok and "" or tostring(err)))
	end
	nonce(request)
end

for _, connect in ipairs{ first, nonce } do
	listen{
		{ proto = "tcp4", port = 0, localhost = true },
		min_fork = 3, max_fork = 6, queue_limit = 32, queue_timeout = 5, fork_delay = 0.01, fork_error_delay = 0.05, exit_delay = 0.1,
		connect = http.generate_handler(connect),
	}
end
