-- Reads a page of one app's entries, as it is at one moment.
--
-- KEYS  1 the app's state (see append.lua), 2 the app's list
-- ARGV  1 most entries to answer (negative: all), 2 epoch and 3 position of the
--       cursor to read after ('' and 0: the newest entries), 4 the epoch of a list
--       whose state is gone, 5 about how many bytes a page has, 6 1 if the cursor
--       says instead which of the newest entries to leave out: those up to it.
-- Answers epoch, position of the first entry, 1 if the page is cut for its size,
-- the entries, and the position of the oldest that is kept.
local state = redis.call('GET', KEYS[1])
local length = redis.call('LLEN', KEYS[2])
local epoch, last
local _, digits = string.find(state or '', '^%d+\n')
if digits == 53 then
  epoch, last = string.sub(state, 1, 20), tonumber(string.sub(state, 21, 36))
  length = math.min(length, last, tonumber(string.sub(state, 37, 52)))
elseif length == 0 then
  return {'0', '1', 0, {}, '0'}
else
  -- As in append.lua. A replica, or a full Redis, cannot keep the epoch: then the
  -- answer is right all the same, and the next one has another epoch.
  epoch, last = ARGV[4], length
  redis.pcall('SET', KEYS[1], epoch .. string.format('%016d%016d\n', length, length))
end

local limit = tonumber(ARGV[1])
local from = 0 -- index of the page's first entry in the list
local gone = last - length
local newest = ARGV[2] == '' or ARGV[6] == '1'
if newest and limit >= 0 then
  from = math.max(length - limit, 0)
end
if ARGV[2] == epoch then
  from = math.max(from, math.min(tonumber(ARGV[3]) - gone, length))
end
local count = length - from
if limit >= 0 then
  count = math.min(count, limit)
end
if count == 0 then
  return {epoch, string.format('%d', last + 1), 0, {}, string.format('%d', gone + 1)}
end

-- Entries are fetched in small bites, so that a log of long ones is never all in
-- memory at once.
local page, size, more = {}, 0, 0
local bite = 100
for i = from, from + count - 1, bite do
  if size >= tonumber(ARGV[5]) then
    more = 1
    break
  end
  for _, entry in ipairs(redis.call('LRANGE', KEYS[2], i, math.min(i + bite, from + count) - 1)) do
    size = size + #entry
    page[#page + 1] = entry
  end
end
return {epoch, string.format('%d', gone + from + 1), more, page, string.format('%d', gone + 1)}
