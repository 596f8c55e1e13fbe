-- Stores a run of entries of one app, once, and trims the app's list.
--
-- KEYS  1 the app's state, 2 the app's list
-- ARGV  1 entries to keep, 2 the epoch of a log that begins now (20 digits),
--       3 the writer's name as it ends its mark, 4 the mark after this run,
--       5 the mark before it, 6 how many writers to remember, 7 how many entries the
--       transaction that the script is in has just pushed onto the list; if 0, then the
--       entries.
-- Answers 1 when it stored, 0 when it had all of them already, 2 when it stored after it
-- threw away keys of a type that is not ours, and 3 when something is not as usual and it
-- took away what was pushed: it has to be given the entries.
--
-- The state is text: the epoch (20 digits), the position of the last entry and how many
-- entries the list has (16 digits each), a line break; then for each writer, the one that
-- stored last first, its mark, a space, its name (which has neither), a line break. A mark
-- is the sequence of the writer's last batch (20 digits) and how many of the app's entries
-- in that batch are stored (10 digits). Marks are compared as text: a number of Lua is
-- exact up to 2^53 only.
local head = 53 -- bytes of the state before the marks
local pushed = tonumber(ARGV[7])
local state = redis.pcall('GET', KEYS[1])
local length = redis.pcall('LLEN', KEYS[2])
local sound = type(state) ~= 'table' and type(length) == 'number'

local epoch, last, kept, extra = ARGV[2], 0, 0, 0
local usual = sound
if sound then
  length = length - pushed
  local _, digits = string.find(state or '', '^%d+\n')
  if digits == head then
    -- Redis may have evicted the list alone: positions go on. What the list has beyond
    -- what its state tells of was pushed without this script, and nobody reads it.
    epoch, last = string.sub(state, 1, 20), tonumber(string.sub(state, 21, 36))
    kept = math.min(tonumber(string.sub(state, 37, 52)), last, length)
    extra = length - kept
    usual = extra == 0
  else -- or the state alone: what there is becomes the beginning of another epoch
    state, last, kept = false, length, length
  end
end

local at -- where the name that ends our mark begins
local first = 8 -- the first entry to store
local stored = false
if state and sound then
  at = string.find(state, ARGV[3], head + 31, true)
  if at then
    local mark = string.sub(state, at - 30, at - 1)
    stored = mark >= ARGV[4]
    if not stored and mark > ARGV[5] then -- the beginning of this run is stored
      first = first + tonumber(string.sub(mark, 21)) - tonumber(string.sub(ARGV[5], 21))
      usual = false
    end
  end
end
if pushed > 0 and (stored or not usual) and type(length) == 'number' then
  redis.call('LTRIM', KEYS[2], 0, -(pushed + 1))
end
if stored then
  -- A write that changes nothing: WAIT tells of a connection's own writes only.
  redis.call('SET', KEYS[1], state)
  return 0
elseif pushed > 0 and not usual then
  return 3
end

local healed = 1
if not sound then
  for _, reply in pairs({state, length}) do
    if type(reply) == 'table' and string.sub(reply.err, 1, 9) ~= 'WRONGTYPE' then
      return reply
    end
  end
  redis.call('DEL', KEYS[1], KEYS[2])
  state, healed = false, 2
elseif extra > 0 then
  redis.call('LTRIM', KEYS[2], 0, -(extra + 1))
end

if pushed == 0 then
  -- The first write has to be one that Redis refuses when it is full or read-only: what
  -- follows it cannot fail any more. Lua's stack bounds the values of one call.
  for i = first, #ARGV, 4000 do
    local reply = redis.pcall('RPUSH', KEYS[2], unpack(ARGV, i, math.min(i + 3999, #ARGV)))
    if type(reply) == 'table' then
      return reply
    end
  end
  pushed = #ARGV - first + 1
end
last, kept = last + pushed, kept + pushed
if kept > tonumber(ARGV[1]) then
  redis.call('LTRIM', KEYS[2], '-' .. ARGV[1], -1)
  kept = ARGV[1]
end

local marks = ''
if at then
  marks = string.sub(state, head + 1, at - 31) .. string.sub(state, at + #ARGV[3])
elseif state then
  -- A new writer takes the place of the one that stored least recently.
  local stop = head
  for _ = 2, tonumber(ARGV[6]) do
    stop = string.find(state, '\n', stop + 1, true) or #state
  end
  marks = string.sub(state, head + 1, stop)
end
redis.call('SET', KEYS[1], epoch .. string.format('%016d%016d\n', last, kept) .. ARGV[4] .. ARGV[3] .. marks)
-- Wakes followers, see follow.go. That it may not be allowed is no fault of the append.
-- The key is not one of KEYS, though in the same slot: while a cluster moves a slot, it
-- refuses a script one of whose keys does not exist.
local followed = string.sub(KEYS[2], 1, -#'lines' - 1) .. 'followed'
if redis.pcall('EXISTS', followed) == 1 then
  redis.pcall('PUBLISH', followed, string.format('%d', last))
end
return healed
