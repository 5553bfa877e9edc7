-- The page of the workload "compressed": an article of 20 KB. mbserve and nginx load this same file. The paragraphs are made
-- once, and joined for each request. They repeat words but no sentences, so they are compressed about as well as other texts.

local paragraphs, words_each = 40, 83

local words = {}
for word in ([[the a of and to in is it was that for on with as at by this from they have not be which one
	server client request answer worker page file bridge moon light water river stone mountain evening morning window
	garden letter number question reason moment people country house street machine paper picture language history
	small large early late bright quiet heavy simple certain different between through under above never always often
	]]):gmatch("%a+") do
	words[#words + 1] = word
end

local seed = 1

local function random_word()
	seed = seed * 16807 % 2147483647
	return words[math.floor(seed / 7) % #words + 1]
end

local texts = {}
for i = 1, paragraphs do
	local text = {}
	for j = 1, words_each do text[j] = random_word() end
	texts[i] = table.concat(text, " ")
end

return function()
	local page = {"<!DOCTYPE html>\n<html><head><title>Article</title></head><body>\n"}
	for i, text in ipairs(texts) do
		page[i + 1] = "<p>" .. text .. ".</p>\n"
	end
	page[paragraphs + 2] = "</body></html>\n"
	return table.concat(page)
end
