-- Deletes all that is kept of an app, and wakes its followers.
--
-- KEYS  its state, blocks and order; then, unless each app has a slot of its own, the names,
--       activity and sums of the index
-- ARGV  1 its name, 2 empty, or the time in seconds since which it must not have got an entry,
--       3 what the entries that were kept count as
-- Returns how many entries were kept, how many bytes the blocks had, and when the last entry
-- came: if that is too late, nothing is deleted.
local text = redis.pcall('GET', KEYS[1])
local s = type(text) == 'string' and parse(text) or {kept = 0, bytes = 0, active = 0}
if ARGV[2] == '' or s.active < tonumber(ARGV[2]) then
  redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3])
  if KEYS[4] then
    index('ZREM', KEYS[4], ARGV[1])
    index('ZREM', KEYS[5], ARGV[1])
    sum(KEYS[6], {[ARGV[3]] = s.kept, bytes = -s.bytes})
  end
  wake(KEYS[1])
elseif KEYS[4] then
  index('ZADD', KEYS[5], s.active, ARGV[1])
end
return {s.kept, s.bytes, s.active}
