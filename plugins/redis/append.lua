-- Stores a run of entries of one app, once, and trims the app's list.
--
-- KEYS  1 the app's state, 2 the app's list, 3 what exists while the app is followed
-- ARGV  1 entries to keep, 2 the epoch of a log that begins now (20 digits),
--       3 the writer's name as it ends its mark, 4 the mark after this run,
--       5 the mark before it, 6 how many writers to remember, then the entries.
-- Answers 1 when it stored, 0 when it had all of them already, 2 when it stored
-- after it threw away keys of a type that is not ours.
--
-- The state is text: the epoch (20 digits), the position of the list's last entry
-- (16 digits), a line break; then for each writer, the one that stored last first,
-- its mark, a space, its name (which has neither), a line break. A mark is the
-- sequence of the writer's last batch (20 digits) and how many of the app's entries
-- in that batch are stored (10 digits). Marks are compared as text: a number of Lua
-- is exact up to 2^53 only.
local state = redis.pcall('GET', KEYS[1])
local healed = 1
if type(state) == 'table' then
  if string.sub(state.err, 1, 9) ~= 'WRONGTYPE' then
    return state
  end
  redis.call('DEL', KEYS[1], KEYS[2])
  state, healed = false, 2
end
if state then
  local _, digits = string.find(state, '^%d+\n')
  state = digits == 37 and state
end

local at -- where the name that ends our mark begins
local first = 7 -- the first entry to store
if state then
  at = string.find(state, ARGV[3], 68, true)
  if at then
    local mark = string.sub(state, at - 30, at - 1)
    if mark >= ARGV[4] then
      return 0
    elseif mark > ARGV[5] then -- the beginning of this run is stored
      first = first + tonumber(string.sub(mark, 21)) - tonumber(string.sub(ARGV[5], 21))
    end
  end
end

-- The first write has to be one that Redis refuses when it is full or read-only:
-- what follows it cannot fail any more. Lua's stack bounds the values of one call.
local length
for i = first, #ARGV, 4000 do
  length = redis.pcall('RPUSH', KEYS[2], unpack(ARGV, i, math.min(i + 3999, #ARGV)))
  if type(length) == 'table' then
    if string.sub(length.err, 1, 9) ~= 'WRONGTYPE' then
      return length
    end
    redis.call('DEL', KEYS[1], KEYS[2])
    state, at, healed = nil, nil, 2
    length = redis.call('RPUSH', KEYS[2], unpack(ARGV, i, math.min(i + 3999, #ARGV)))
  end
end

local pushed = #ARGV - first + 1
local epoch, last, marks = ARGV[2], length - pushed, ''
if state then
  local known = tonumber(string.sub(state, 21, 36))
  if known >= last then
    epoch, last = string.sub(state, 1, 20), known
  end
  -- Otherwise the list has more entries than its state tells of: it lost one that
  -- was newer, and what there is becomes the beginning of another epoch.
  if at then
    marks = string.sub(state, 38, at - 31) .. string.sub(state, at + #ARGV[3])
  else
    -- A new writer takes the place of the one that stored least recently.
    local stop = 37
    for _ = 2, tonumber(ARGV[6]) do
      stop = string.find(state, '\n', stop + 1, true) or #state
    end
    marks = string.sub(state, 38, stop)
  end
end
redis.call('SET', KEYS[1],
  epoch .. string.format('%016.0f\n', last + pushed) .. ARGV[4] .. ARGV[3] .. marks)
if length > tonumber(ARGV[1]) then
  redis.call('LTRIM', KEYS[2], '-' .. ARGV[1], -1)
end
-- Wakes followers, see follow.go. That it may not be allowed is no fault of the append.
if redis.call('EXISTS', KEYS[3]) == 1 then
  redis.pcall('PUBLISH', KEYS[3], string.format('%.0f', last + pushed))
end
return healed
