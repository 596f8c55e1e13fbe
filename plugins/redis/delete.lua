-- Deletes all that is kept of an app, and wakes its followers.
--
-- KEYS  its state, blocks and order; then, unless each app has a slot of its own, the names,
--       activity and sums of the index
-- ARGV  1 its name, 2 empty, or the time in seconds since which it must not have got an entry,
--       3 what the entries that were kept count as, 4 entries to keep, 5 the time in seconds
-- Returns how many entries were evicted and how many deleted, how much that changed the bytes,
-- and when the last entry came if that is too late: then nothing is deleted.
local text = redis.pcall('GET', KEYS[1])
local s = open(text, KEYS[1], KEYS[2], KEYS[3], string.rep('\255', 8), tonumber(ARGV[4]), tonumber(ARGV[5]))
local listed, unlisted = {}, {}
if ARGV[2] == '' or s.active < tonumber(ARGV[2]) then
  redis.call('UNLINK', s.key, s.stream, s.order)
  change[ARGV[3]], change.bytes = change[ARGV[3]] + s.kept, change.bytes - s.bytes
  unlisted[1], s.active = ARGV[1], 0
  wake(s.key, s.epoch)
else
  listed[1] = ARGV[1]
end
if KEYS[4] then
  account(KEYS[4], KEYS[5], KEYS[6], listed, unlisted, s.active)
end
return {change.evicted, change.deleted, change.bytes, s.active}
