-- Reads a page of one app's entries, as it is at one moment.
--
-- KEYS  1 the app's state (see state.lua), 2 the app's list
-- ARGV  1 most entries to answer (negative: all), 2 epoch and 3 position of the
--       cursor to read after ('' and 0: the newest entries), 4 the epoch of a list
--       whose state is gone, 5 about how many bytes a page has, 6 1 if the cursor
--       says instead which of the newest entries to leave out: those up to it,
--       7 how many entries of a list whose state is gone are kept.
-- Answers the epoch, the position of the first entry, how many entries of the first block
-- come before that, how many are wanted, 1 if the page is cut for its size, the blocks, each
-- with how many entries are in it, and the position of the oldest entry that is kept.
local list = KEYS[2]
local state = redis.call('GET', KEYS[1])
local length = redis.call('LLEN', list)
local epoch, last, kept, total, blocks, oldest, known = look(state, list, length, tonumber(ARGV[7]), ARGV[4])
if not known then
  if length == 0 then
    return {string.rep('\0', 8), '1', 0, 0, 0, {}, '0'}
  end
  -- A replica, or a full Redis, cannot keep the epoch: then the answer is right all the
  -- same, and the next one has another epoch.
  redis.pcall('SET', KEYS[1], pack(epoch, last, kept, total, blocks, oldest))
end

local limit = tonumber(ARGV[1])
local first = last - kept + 1
local start = string.format('%d', first)
if limit >= 0 and (ARGV[2] == '' or ARGV[6] == '1') then
  first = math.max(first, last - limit + 1)
end
if ARGV[2] == epoch then
  first = math.max(first, math.min(tonumber(ARGV[3]), last) + 1)
end
local count = last - first + 1
if limit >= 0 then
  count = math.min(count, limit)
end
if count == 0 then
  return {epoch, string.format('%d', last + 1), 0, 0, 0, {}, start}
end

-- Where blocks are small there are many, and some at once cost less than one by one.
local some, bite = {}, 50
local function entries(i)
  if total >= 4 * blocks then
    return size(list, i)
  end
  if some.from ~= i - i % bite then
    some = redis.call('LRANGE', list, 2 * (i - i % bite), 2 * (i - i % bite + bite) - 1)
    some.from = i - i % bite
  end
  return tonumber(some[2 * (i % bite) + 2]) or 1
end

-- The block that has the first entry: i blocks with passed entries come before it.
local before = total - (last - first + 1)
local i, passed = 0, 0
if total == blocks then
  i, passed = before, before
elseif 2 * before < total then
  local n = entries(0)
  while passed + n <= before and i + 1 < blocks do
    i, passed = i + 1, passed + n
    n = entries(i)
  end
else
  i, passed = blocks, total
  while passed > before and i > 0 do
    i = i - 1
    passed = passed - entries(i)
  end
end

-- Blocks are fetched in small bites, so that a log of long entries is never all in memory
-- at once.
local page, bytes, more = {}, 0, 0
local skip = math.max(before - passed, 0)
local left = skip + count
bite = 1
while left > 0 and i < blocks do
  if bytes >= tonumber(ARGV[5]) then
    more = 1
    break
  end
  bite = math.min(bite, math.ceil(left * blocks / total), blocks - i)
  local got = redis.call('LRANGE', list, 2 * i, 2 * (i + bite) - 1)
  for j = 1, #got, 2 do
    local n = tonumber(got[j + 1])
    if not n or n < 1 or n >= 2^31 then
      n = 1
    end
    page[#page + 1], page[#page + 2] = got[j], math.floor(n)
    bytes, left = bytes + #got[j], left - n
  end
  i = i + bite
  bite = math.max(1, math.min(100, math.floor(tonumber(ARGV[5]) / 4 / (bytes + 1) * #page / 2)))
end
return {epoch, string.format('%d', first), skip, count, more, page, start}
