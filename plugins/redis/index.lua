-- Changes the index, where each app has a slot of its own, and mends it.
--
-- KEYS  the names, activity and sums of the index
-- ARGV  1 to 4 how many entries were stored, evicted, deleted, and by how much the bytes
--       changed, 5 the time in seconds, 6 how many apps come on the list; then their names, and
--       the names of those that leave it.
-- Returns 1, or 0 if the sums are lost.
local listed, unlisted = {}, {}
for i, name in ipairs({'stored', 'evicted', 'deleted', 'bytes'}) do
  change[name] = tonumber(ARGV[i])
end
for i = 7, #ARGV do
  local names = i < 7 + tonumber(ARGV[6]) and listed or unlisted
  names[#names + 1] = ARGV[i]
end
return account(KEYS[1], KEYS[2], KEYS[3], listed, unlisted, ARGV[5]) and 1 or 0
