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
local slack = math.min(math.floor(lines / 16), 256)
local states = {}
for i = 1, apps do
  states[i] = KEYS[2 * i - 1]
end
states = redis.call('MGET', unpack(states))

local written, stored, evicted, bytes, names, thrown = {}, 0, 0, 0, {}, 0

local function empty(r)
  r.entries, r.blocks, r.tail, r.rest, r.slip, r.stated = 0, 0, 0, 0, 0, 0
end

-- open makes sense of an app's keys. What Redis evicted, and what others wrote, is gone.
local function open(key, text)
  local s = parse(text)
  if not s then
    -- Nothing is written before a stream is, since that is what a full Redis refuses.
    local first = stem(key) .. 'run'
    local had = redis.pcall('EXISTS', key, first .. 1, first .. 2, first .. 3, first .. 4)
    if type(had) == 'number' and had > 0 then
      redis.call('DEL', key, first .. 1, first .. 2, first .. 3, first .. 4)
      thrown = thrown + 1
    end
    return {runs = {}, marks = '', epoch = fresh, last = 0, kept = 0, bytes = 0, active = now, listed = 0}
  end
  for i, r in ipairs(s.runs) do
    if r.entries > 0 and redis.pcall('XLEN', stem(key) .. 'run' .. i) ~= r.blocks then
      redis.call('DEL', stem(key) .. 'run' .. i)
      empty(r)
      thrown = thrown + 1
    end
  end
  return s
end

-- fit is the number of the run that an entry belongs to; nil if there is none.
local function fit(s, us)
  for i = 1, most do
    local r = s.runs[i]
    if not r or r.entries == 0 or us >= r.tail - tolerance then
      return i
    end
  end
end

-- push stores a block. It answers at which time it would have to be cut, or an error.
local function push(s, key, numbers, block, again)
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
    i = most
    for j = 1, most do
      if s.runs[j].tail < s.runs[i].tail then
        i = j
      end
    end
  end
  local name = stem(key) .. 'run' .. i
  if not s.runs[i] then
    s.runs[i] = {added = 0}
    empty(s.runs[i])
  end
  local r = s.runs[i]
  local tail, ns, slip = last, rest, 0
  if last < r.tail or last == r.tail and rest < r.rest then
    tail, ns = r.tail, r.rest
  end
  if first <= r.tail then
    slip = r.tail - first + 1
  end
  local id = string.format('%d-0', s.last + count)
  local numbered = struct.pack(kept, count, r.added, r.tail, r.rest, tail, ns, r.stated)
  local reply = redis.pcall('XADD', name, id, numbered, block)
  if type(reply) == 'table' and not again and (string.find(reply.err, '^WRONGTYPE') or string.find(reply.err, '^ERR The ID')) then
    redis.call('DEL', name)
    thrown = thrown + 1
    empty(r)
    return push(s, key, numbers, block, true)
  elseif type(reply) == 'table' then
    return reply
  end
  r.entries, r.blocks, r.added, r.tail, r.rest = r.entries + count, r.blocks + 1, r.added + count, tail, ns
  r.slip, r.stated = math.max(r.slip, slip), math.max(r.stated, stated)
  s.last, s.bytes = s.last + count, s.bytes + #block
end

local function total(s)
  local n = 0
  for _, r in ipairs(s.runs) do
    n = n + r.entries
  end
  return n
end

-- trim lets go of old blocks: of that with the earliest tail, as long as enough entries are
-- in blocks that are not the first of their runs. It waits until some may go at once.
local function trim(s, key)
  local left = total(s)
  if left <= lines + slack then
    return
  end
  local heads, first = {}, 0 -- of each run: its first blocks, and which of them is still there
  for i, r in ipairs(s.runs) do
    if r.entries > 0 then
      local some = math.min(math.ceil((left - lines) * r.blocks / r.entries) + 1, 200)
      local h = {at = 1, blocks = redis.call('XRANGE', stem(key) .. 'run' .. i, '-', '+', 'COUNT', some)}
      for j, b in ipairs(h.blocks) do
        local ok, count, _, _, _, tail, rest = pcall(struct.unpack, kept, b[2][1])
        h.blocks[j] = {id = b[1], size = #b[2][2], count = ok and count or 1, tail = ok and tail or 0}
      end
      heads[i], first = h, first + h.blocks[1].count
    end
  end
  while left - first >= lines do
    local i
    for j, h in pairs(heads) do
      if not i or h.blocks[h.at].tail < heads[i].blocks[heads[i].at].tail then
        i = j
      end
    end
    local h, r = heads[i], s.runs[i]
    local b = h.blocks[h.at]
    r.entries, r.blocks, s.bytes = r.entries - b.count, r.blocks - 1, s.bytes - b.size
    left, first = left - b.count, first - b.count
    h.gone, h.at = b.id, h.at + 1
    if r.blocks <= 0 then
      redis.call('DEL', stem(key) .. 'run' .. i)
      empty(r)
      heads[i] = nil
    elseif h.blocks[h.at] then
      first = first + h.blocks[h.at].count
    else
      break -- the next append goes on
    end
  end
  for i, h in pairs(heads) do
    if h.gone then
      redis.call('XTRIM', stem(key) .. 'run' .. i, 'MINID', string.format('%d-0', tonumber(string.match(h.gone, '%d+')) + 1))
    end
  end
end

-- store stores the blocks of one app, which begin at arg.
local function store(key, text, name, before, arg, blocks)
  if blocks == 0 and not text then
    return 0, 0
  end
  local s = open(key, text)
  local had, at = 0, string.find(s.marks, writer, 1, true) -- where the name that ends our mark begins
  if at then
    local mark = string.sub(s.marks, at - 30, at - 11)
    if mark > sequence then
      had = math.huge
    elseif mark == sequence then
      had = tonumber(string.sub(s.marks, at - 10, at - 1))
    end
  end
  local gone, size, done, cut = s.last - s.kept, s.bytes, before, 0
  local last = s.last
  for i = arg, arg + 2 * blocks - 1, 2 do
    local count = struct.unpack('>I4', ARGV[i])
    if had >= done + count then
      done = done + count -- an earlier try stored it
    elseif had ~= done then
      break -- it stored a part of it, or Redis lost what comes before it
    else
      local reply = push(s, key, ARGV[i], ARGV[i + 1])
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
    s.marks = sequence .. string.format('%010d', had) .. writer .. marks
    s.active = now
  end
  trim(s, key)
  s.kept = math.min(s.kept + s.last - last, total(s), lines)
  if now - s.listed >= relist or now < s.listed or s.last == last then
    s.listed = now
    names[#names + 1] = name
  end
  stored, bytes = stored + s.last - last, bytes + s.bytes - size
  evicted = evicted + s.last - s.kept - gone
  written[#written + 1] = key
  written[#written + 1] = pack(s)
  return had < math.huge and had or done, cut
end

local answer, arg, failure = {}, 9, nil
for i = 1, apps do
  local blocks, before = tonumber(ARGV[arg + 2]), tonumber(ARGV[arg + 1])
  local done, cut = store(KEYS[2 * i - 1], states[i], ARGV[arg], before, arg + 3, blocks)
  if type(done) == 'table' then
    failure, done, cut = done, before, 0
  end
  answer[2 * i - 1], answer[2 * i] = done, cut
  arg = arg + 3 + 2 * blocks
end
if failure and #written == 0 then
  return failure
end
if #written > 0 then
  redis.call('MSET', unpack(written))
end
if stored > 0 then
  for i = 1, #written, 2 do
    wake(written[i])
  end
end
local listed = #names
if #KEYS > 2 * apps then
  local scored, active = {}, {}
  for i, name in ipairs(names) do
    scored[2 * i - 1], scored[2 * i] = 0, name
    active[2 * i - 1], active[2 * i] = now, name
  end
  if listed > 0 then
    index('ZADD', KEYS[2 * apps + 1], unpack(scored))
    index('ZADD', KEYS[2 * apps + 2], unpack(active))
  end
  sum(KEYS[2 * apps + 3], 'stored', stored, 'evicted', evicted, 'bytes', bytes)
end
for _, n in ipairs({stored, evicted, bytes, listed, thrown}) do
  answer[#answer + 1] = n
end
return answer
