-- Deletes all that is kept of an app, and wakes its followers.
--
-- KEYS  its state and its first run; then, unless each app has a slot of its own, the names,
--       activity and sums of the index
-- ARGV  1 its name, 2 empty, or the time in seconds since which it must not have got an entry,
--       3 what the entries that were kept count as
-- Answers how many entries were kept, how many bytes the blocks had, and when the last entry
-- came: if that is too late, nothing is deleted.
local text = redis.pcall('GET', KEYS[1])
local s = type(text) == 'string' and parse(text) or {kept = 0, bytes = 0, active = 0}
if ARGV[2] == '' or s.active < tonumber(ARGV[2]) then
  local reply = forget('UNLINK', KEYS[1])
  if type(reply) == 'table' then
    return reply
  end
  if KEYS[3] then
    index('ZREM', KEYS[3], ARGV[1])
    index('ZREM', KEYS[4], ARGV[1])
    sum(KEYS[5], {[ARGV[3]] = s.kept, bytes = -s.bytes})
  end
  wake(KEYS[1])
elseif KEYS[3] then
  index('ZADD', KEYS[4], s.active, ARGV[1])
end
return {s.kept, s.bytes, s.active}
