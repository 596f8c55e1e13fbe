-- Stores runs of entries, each of another app and each once, and trims the apps' lists.
--
-- KEYS  the apps' states (see state.lua), then their lists in the same order
-- ARGV  1 entries to keep, 2 the epoch of a log that begins now (8 bytes), 3 the writer's
--       name as it ends its mark, 4 the sequence of its batch as it begins its mark, 5 how
--       many writers to remember; then for each run
--       how many of the app's entries of the batch come before it, how many once it is
--       stored (10 digits each), 1 if an earlier try of the append stored what comes before
--       it, how many blocks it has; and these, each followed by how many entries it has.
-- Answers for each run 1 when it stored, 0 when it had all of them already, 2 when it
-- stored after it threw away keys of a type that is not ours. 3: nothing was stored, since
-- what an earlier try had stored is there no more. 4 and more: nothing was
-- stored, since the beginning of the run is there already: so many of the app's entries of
-- the batch, and 4. Or the error of a run, of which nothing is stored then.
local lines, writer, sequence = tonumber(ARGV[1]), ARGV[3], ARGV[4]
local runs = #KEYS / 2
local states = runs > 1 and redis.call('MGET', unpack(KEYS, 1, runs))
local written, followed, lasts = {}, {}, {}

-- store stores one run, whose arguments begin at arg.
local function store(run, arg, pushed)
  local key, list, before, after = KEYS[run], KEYS[runs + run], ARGV[arg], ARGV[arg + 1]
  local healed = 1
  local state, length = states and states[run], redis.pcall('LLEN', list)
  if not state then
    -- There is none, or MGET does not tell of a key of another type.
    state = redis.pcall('GET', key)
  end
  local fault = type(state) == 'table' and state or type(length) == 'table' and length
  if fault then
    if string.sub(fault.err, 1, 9) ~= 'WRONGTYPE' then
      return fault
    end
    redis.call('DEL', key, list)
    state, length, healed = false, 0, 2
  end

  local epoch, last, kept, total, blocks, oldest, known, extra = look(state, list, length, lines, ARGV[2])
  local resumed = ARGV[arg + 2] == '1'
  if resumed and not known and length == 0 then
    return 3
  end
  local at -- where the name that ends our mark begins
  if known then
    at = string.find(state, writer, head + 31, true)
    if at then
      local mark = string.sub(state, at - 30, at - 1)
      if mark >= sequence .. after then
        -- A write that changes nothing: WAIT tells of a connection's own writes only.
        written[#written + 1] = key
        written[#written + 1] = state
        return 0
      elseif mark > sequence .. before then
        return 4 + tonumber(string.sub(mark, 21))
      elseif resumed and mark < sequence .. before then
        return 3
      end
    end
  end

  if extra > 0 then
    redis.call('LTRIM', list, 0, -(extra + 1))
  end
  -- This has to be a write that Redis refuses when it is full or read-only: what follows it
  -- cannot fail any more. Lua's stack bounds the values of one call.
  local stop = arg + 3 + 2 * pushed
  for i = arg + 4, stop, 4000 do
    local reply = redis.pcall('RPUSH', list, unpack(ARGV, i, math.min(i + 3999, stop)))
    if type(reply) == 'table' then
      return reply
    end
  end

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
  written[#written + 1] = key
  written[#written + 1] = pack(epoch, last, kept, total, blocks, oldest) .. sequence .. after .. writer .. marks
  lasts[#lasts + 1] = last
  followed[#followed + 1] = string.sub(list, 1, -#'blocks' - 1) .. 'followed'
  return healed
end

local codes, arg = {}, 6
for run = 1, runs do
  local pushed = tonumber(ARGV[arg + 3])
  codes[run] = store(run, arg, pushed)
  arg = arg + 4 + 2 * pushed
end
if #written > 0 then
  redis.call('MSET', unpack(written))
end
-- Wakes followers, see follow.go. That it may not be allowed is no fault of the append.
-- The keys are not among KEYS, though in the same slots: while a cluster moves a slot, it
-- refuses a script one of whose keys does not exist.
local some = #followed > 0 and redis.pcall('EXISTS', unpack(followed))
if some and some ~= 0 then
  for i, key in ipairs(followed) do
    if #followed == 1 or redis.pcall('EXISTS', key) == 1 then
      redis.pcall('PUBLISH', key, string.format('%d', lasts[i]))
    end
  end
end
return codes
