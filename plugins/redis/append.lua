-- Stores entries of some apps, each once, and lets go of those that are not kept.
--
-- KEYS  for each app its state (see state.lua) and its first run; then, unless each app has a
--       slot of its own, the names, activity and sums of the index
-- ARGV  1 how many apps, 2 entries to keep of each, 3 an epoch for logs that begin now (8
--       bytes), 4 the writer's name as it ends its mark, 5 the sequence of its batch as it
--       begins its mark, 6 how many writers to remember, 7 the time in seconds, 8 after how
--       many seconds an app is put on the list of apps again; then for each app
--       its name, how many of its entries of the batch come before these, how many blocks;
--       and for each block two arguments: numbers (given, below), and the block.
-- Answers for each app how many of its entries of the batch are stored now, and 0, or the
-- publish time, in µs, at which the next block has to be cut into two. Then
-- the sums over the apps of what was stored, evicted, added in bytes; how many apps belong
-- on the list; and how many keys were thrown away since their type or content was not ours.
--
-- A run is a stream. Its entries have the position of the last entry of a block as their id,
-- and one field: its name is numbers (kept, below), its value the block.
local tolerance = 100000 -- µs
-- Of a block, as it comes: entries, publish time of the first in µs, and of the last in
-- µs and ns, latest time that an entry states in µs.
local given = '>I4I8I8I2I8'
-- Of a block, as it is kept: entries, how many the run ever had before it; tail of the run
-- before it, and with it; latest time that an entry of the run before it states.
local kept = '>I4I8I8I2I8I2I8'

local apps, lines, fresh, writer, sequence = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]
local writers, now, relist = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
-- More are stored than kept: they leave a piece at a time, which has at least a share of them,
-- and since they may not be quite in order, some are stored for safety.
local slack, share = math.min(math.floor(lines / 32), 256), lines / 8
local written, stored, evicted, bytes, names, thrown = {}, 0, 0, 0, {}, 0

local function clear(r)
  r.entries, r.blocks, r.tail, r.rest, r.slip, r.stated, r.from, r.to, r.new = 0, 0, 0, 0, 0, 0, 1, 0, {}
end

-- drop forgets a run: Redis evicted it, or somebody wrote something else to its key.
local function drop(s, i)
  redis.call('DEL', key(s.key, i))
  clear(s.runs[i])
  thrown = thrown + 1
end

-- open makes sense of an app's keys.
local function open(state, text)
  local s = parse(text)
  if not s then
    -- Nothing is written before a stream is, since that is what a full Redis refuses.
    local had = forget('EXISTS', state)
    if type(had) == 'number' and had > 0 then
      forget('DEL', state)
      thrown = thrown + 1
    end
    s = {runs = {}, marks = '', text = '', epoch = fresh, last = 0, kept = 0, bytes = 0, active = now, listed = 0}
  end
  s.key = state
  for i, r in ipairs(s.runs) do
    if r.entries > 0 and redis.pcall('XLEN', key(state, i)) ~= r.blocks then
      drop(s, i)
    end
  end
  return s
end

local function total(s)
  local n = 0
  for _, r in ipairs(s.runs) do
    n = n + r.entries
  end
  return n
end

-- oldest is the run whose first piece has the earliest tail, that piece, and how many
-- entries are in the first pieces of all runs.
local function oldest(s)
  local run, earliest, first = nil, nil, 0
  for i, r in ipairs(s.runs) do
    if r.entries > 0 then
      local p = r.new[1]
      if r.from < r.to then
        p = {struct.unpack(piece, s.text, r.from)}
      end
      if not run or p[3] < earliest[3] then
        run, earliest = i, p
      end
      first = first + p[1]
    end
  end
  return run, earliest, first
end

-- fit is the first run whose tail a time is at most 100 ms before; nil if there is none.
local function fit(s, us)
  for i = 1, most do
    local r = s.runs[i]
    if not r or r.entries == 0 or us >= r.tail - tolerance then
      return i
    end
  end
end

-- push stores a block. It answers at which time it would have to be cut, or an error.
local function push(s, numbers, block, again)
  local count, first, last, rest, stated = struct.unpack(given, numbers)
  local i = fit(s, first)
  if fit(s, last) ~= i then
    local cut = math.huge
    for j = 1, (i or most + 1) - 1 do
      cut = math.min(cut, s.runs[j].tail - tolerance)
    end
    return cut
  end
  if not i then
    local _, earliest, firsts = oldest(s)
    if total(s) - firsts >= lines and last < earliest[3] then
      s.last = s.last + count -- older than all that is kept
      return
    end
    i = most -- or else the run with the earliest tail has it
    for j = 1, most do
      if s.runs[j].tail < s.runs[i].tail then
        i = j
      end
    end
  end
  local r = s.runs[i]
  if not r then
    r = {added = 0}
    clear(r)
    s.runs[i] = r
  end
  local tail, ns = last, rest
  if last < r.tail or last == r.tail and rest < r.rest then
    tail, ns = r.tail, r.rest
  end
  local reply = redis.pcall('XADD', key(s.key, i), string.format('%d-0', s.last + count),
    struct.pack(kept, count, r.added, r.tail, r.rest, tail, ns, r.stated), block)
  if type(reply) == 'table' then
    if again or not string.find(reply.err, '^WRONGTYPE') and not string.find(reply.err, '^ERR The ID') then
      return reply
    end
    drop(s, i)
    return push(s, numbers, block, true)
  end
  if first <= r.tail then
    r.slip = math.max(r.slip, r.tail - first + 1)
  end
  r.entries, r.blocks, r.added, r.tail, r.rest = r.entries + count, r.blocks + 1, r.added + count, tail, ns
  r.stated = math.max(r.stated, stated)
  s.last, s.bytes = s.last + count, s.bytes + #block
  local p = r.new[#r.new]
  if not p and r.from < r.to then
    p = {struct.unpack(piece, s.text, r.to - pieceSize + 1)}
    if p[1] < share then
      r.to, r.new[1] = r.to - pieceSize, p
    end
  end
  if not p or p[1] >= share then
    p = {0, 0, 0, 0}
    r.new[#r.new + 1] = p
  end
  p[1], p[2], p[3], p[4] = p[1] + count, s.last, tail, p[4] + #block
end

-- trim lets go of old pieces: of that with the earliest tail, as long as enough entries are
-- in pieces that are not the first of their runs. It waits until some may go at once.
local function trim(s)
  local left, gone = total(s), {}
  while left > lines + 2 * slack or next(gone) do
    local i, p, first = oldest(s)
    if left - first < lines + slack then
      break
    end
    local r = s.runs[i]
    r.entries, s.bytes, left, gone[i] = r.entries - p[1], s.bytes - p[4], left - p[1], p[2]
    if r.from < r.to then
      r.from = r.from + pieceSize
    else
      table.remove(r.new, 1)
    end
  end
  for i, last in pairs(gone) do
    local r = s.runs[i]
    r.blocks = r.blocks - redis.call('XTRIM', key(s.key, i), 'MINID', string.format('%d-0', last + 1))
    if r.entries <= 0 then
      redis.call('DEL', key(s.key, i))
      clear(r)
    end
  end
end

-- store stores the blocks of one app, which begin at arg.
local function store(state, text, name, before, arg, blocks)
  local s = open(state, text)
  local had, at = 0, string.find(s.marks, writer, 1, true) -- where the name that ends our mark begins
  if at then
    local mark = string.sub(s.marks, at - 30, at - 11)
    if mark > sequence then
      had = math.huge
    elseif mark == sequence then
      had = tonumber(string.sub(s.marks, at - 10, at - 1))
    end
  end
  local last, gone, size, done, cut = s.last, s.last - s.kept, s.bytes, before, 0
  for i = arg, arg + 2 * blocks - 1, 2 do
    local count = struct.unpack('>I4', ARGV[i])
    if had >= done + count then
      done = done + count -- an earlier try stored it
    elseif had ~= done then
      break -- it stored a part of it, or Redis lost what comes before it
    else
      local reply = push(s, ARGV[i], ARGV[i + 1])
      if type(reply) == 'table' then
        return reply
      elseif reply then
        cut = reply
        break
      end
      done = done + count
      had = done
    end
  end
  -- A repetition is written all the same: WAIT tells of a connection's own writes only.
  if s.last > last then
    local marks = s.marks
    if at then
      marks = string.sub(marks, 1, at - 31) .. string.sub(marks, at + #writer)
    else
      -- A new writer takes the place of the one that stored least recently.
      local stop = 0
      for _ = 2, writers do
        stop = string.find(marks, '\n', stop + 1, true) or #marks
      end
      marks = string.sub(marks, 1, stop)
    end
    s.marks, s.active = sequence .. string.format('%010d', had) .. writer .. marks, now
  end
  trim(s)
  s.kept = math.min(s.kept + s.last - last, total(s), lines)
  if now - s.listed >= relist or now < s.listed or s.last == last then
    s.listed = now
    names[#names + 1] = name
  end
  stored, bytes, evicted = stored + s.last - last, bytes + s.bytes - size, evicted + s.last - s.kept - gone
  local parts = {struct.pack(head, format, s.epoch, s.last, s.kept, s.bytes, s.active, s.listed, #s.runs)}
  for _, r in ipairs(s.runs) do
    local pieces = (r.to - r.from + 1) / pieceSize + #r.new
    parts[#parts + 1] = struct.pack(run, r.entries, r.blocks, r.added, r.tail, r.rest, r.slip, r.stated, pieces)
    parts[#parts + 1] = string.sub(s.text, r.from, r.to)
    for _, p in ipairs(r.new) do
      parts[#parts + 1] = struct.pack(piece, p[1], p[2], p[3], p[4])
    end
  end
  parts[#parts + 1] = s.marks
  written[#written + 1] = state
  written[#written + 1] = table.concat(parts)
  return had < math.huge and had or done, cut
end

local states, answer, arg, failure = {}, {}, 9, nil
for i = 1, apps do
  states[i] = KEYS[2 * i - 1]
end
states = redis.call('MGET', unpack(states))
for i = 1, apps do
  local before, blocks = tonumber(ARGV[arg + 1]), tonumber(ARGV[arg + 2])
  local done, cut = store(KEYS[2 * i - 1], states[i], ARGV[arg], before, arg + 3, blocks)
  if type(done) == 'table' then
    failure, done, cut = done, before, 0
  end
  answer[2 * i - 1], answer[2 * i] = done, cut
  arg = arg + 3 + 2 * blocks
end
if #written == 0 then
  return failure
end
redis.call('MSET', unpack(written))
for i = 1, #written, 2 do
  wake(written[i])
end
if KEYS[2 * apps + 1] then
  for _, name in ipairs(names) do
    index('ZADD', KEYS[2 * apps + 1], 0, name)
    index('ZADD', KEYS[2 * apps + 2], now, name)
  end
  sum(KEYS[2 * apps + 3], {stored = stored, evicted = evicted, bytes = bytes})
end
for _, n in ipairs({stored, evicted, bytes, #names, thrown}) do
  answer[#answer + 1] = n
end
return answer
