-- wrk sends 16 requests at once and waits for the 16 responses: wrk -s wrk-pipeline.lua URL. An argument after -- is another number.

local together

init = function(args)
  local requests = {}
  for i = 1, tonumber(args[1]) or 16 do
    requests[i] = wrk.format()
  end
  together = table.concat(requests)
end

request = function()
  return together
end
