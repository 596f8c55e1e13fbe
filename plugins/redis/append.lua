-- Stores a run of an app's entries once, and trims the app's list.
--
-- KEYS  1 the app's state (see state.lua), 2 the app's list
-- ARGV  1 entries to keep, 2 the epoch of a log that begins now (8 bytes), 3 the writer's
--       name as it ends its mark, 4 the sequence of its batch as it begins its mark, 5 how
--       many writers to remember, 6 how many of the app's entries of the batch come before
--       the run, 7 how many once it is stored (10 digits each); then the run's blocks, each
--       followed by how many entries it has.
-- Answers 1 when it stored, 0 when it had all of them already, 2 when it stored after it
-- threw away keys of a type that is not ours. 4 and more: nothing was stored, since the
-- beginning of the run is there already: so many of the app's entries of the batch, and 4.
local key, list = KEYS[1], KEYS[2]
local lines, writer, sequence = tonumber(ARGV[1]), ARGV[3], ARGV[4]
local before, after = ARGV[6], ARGV[7]
local healed = 1

local state, length = redis.pcall('GET', key), redis.pcall('LLEN', list)
local fault = type(state) == 'table' and state or type(length) == 'table' and length
if fault then
  if string.sub(fault.err, 1, 9) ~= 'WRONGTYPE' then
    return fault
  end
  redis.call('DEL', key, list)
  state, length, healed = false, 0, 2
end

local epoch, last, kept, total, blocks, oldest, known, extra = look(state, list, length, lines, ARGV[2])
local at -- where the name that ends our mark begins
if known then
  at = string.find(state, writer, head + 31, true)
  if at then
    local mark = string.sub(state, at - 30, at - 1)
    if mark >= sequence .. after then
      -- A write that changes nothing: WAIT tells of a connection's own writes only.
      redis.call('SET', key, state)
      return 0
    elseif mark > sequence .. before then
      return 4 + tonumber(string.sub(mark, 21))
    end
  end
end

-- The first write has to be one that Redis refuses when it is full or read-only: what
-- follows it cannot fail any more. Lua's stack bounds the values of one call.
if extra > 0 then
  redis.call('LTRIM', list, 0, -(extra + 1))
end
for i = 8, #ARGV, 4000 do
  local reply = redis.pcall('RPUSH', list, unpack(ARGV, i, math.min(i + 3999, #ARGV)))
  if type(reply) == 'table' then
    return reply
  end
end
local pushed = (#ARGV - 7) / 2

local count = after - before
if blocks == 0 then
  oldest = pushed == 1 and count or size(list, 0)
end
last, total, blocks = last + count, total + count, blocks + pushed
kept = kept + count
if kept > lines then
  kept = lines
end
-- Only so many at once: the next append goes on where somebody lowered the lines to keep.
local gone = 0
while total - oldest >= kept and gone + 1 < blocks and gone < 1000 do
  total, gone = total - oldest, gone + 1
  oldest = total == blocks - gone and 1 or size(list, gone)
end
if gone > 0 then
  redis.call('LTRIM', list, 2 * gone, -1)
  blocks = blocks - gone
end

local marks = ''
if at then
  marks = string.sub(state, at + #writer)
  if at > head + 31 then
    marks = string.sub(state, head + 1, at - 31) .. marks
  end
elseif known then
  -- A new writer takes the place of the one that stored least recently.
  local stop = head
  for _ = 2, tonumber(ARGV[5]) do
    stop = string.find(state, '\n', stop + 1, true) or #state
  end
  marks = string.sub(state, head + 1, stop)
end
redis.call('SET', key, pack(epoch, last, kept, total, blocks, oldest) .. sequence .. after .. writer .. marks)
-- Wakes followers, see follow.go. That it may not be allowed is no fault of the append.
-- The key is not among KEYS, though in the same slot: while a cluster moves a slot, it
-- refuses a script one of whose keys does not exist.
local followed = string.sub(list, 1, -#'blocks' - 1) .. 'followed'
if redis.pcall('EXISTS', followed) == 1 then
  redis.pcall('PUBLISH', followed, string.format('%d', last))
end
return healed
