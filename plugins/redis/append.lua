-- Stores entries of some apps, each once, and lets go of those that are not kept.
--
-- KEYS  for each app its state, blocks and order (see state.lua); then, unless each app has a
--       slot of its own, the names, activity and sums of the index
-- ARGV  1 how many apps, 2 entries to keep of each, 3 an epoch for logs that begin now (8
--       bytes), 4 the writer's name as it ends its mark, 5 the sequence of its batch as it
--       begins its mark, 6 how many writers to remember, 7 the time in seconds, 8 after how
--       many seconds an app is put on the list of apps again; then for each app
--       its name, how many of its entries of the batch come before these, how many blocks;
--       and for each block two arguments: numbers (given, below), and the block.
-- Returns for each app how many of its entries of the batch are stored now; then
-- the sums over the apps of what was stored, evicted, added in bytes; how many apps belong
-- on the list; and how many keys were thrown away since their type or content was not ours.
--
-- A block as it comes: entries; the publish time of its last entry in ns, as bytes whose
-- order is that of time; the span of its publish times in ns; and by how much an entry's own
-- time is after the publish time at most, in µs.
local given, fieldSize = '>I4c8I4i8', 12
-- A block in the order: the publish time, the position of the last entry, entries, bytes,
-- and the span.
local member, memberNumbers = '>c8I8I4I4I4', '>I8I8I4I4I4'

local apps, lines, fresh, writer, sequence = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]
local writers, now, relist = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
-- Some more entries are stored than kept, so that blocks leave some at once; not many, since reads
-- of older pages look at them.
local most = lines + math.min(math.floor(lines / 8), 512)
local written, stored, evicted, bytes, names, thrown = {}, 0, 0, 0, {}, 0

-- open makes sense of an app's keys. It forgets what Redis evicted a part of, and what somebody
-- else wrote.
local function open(text, state, blocks, order)
  local s = parse(text)
  if not s then
    thrown = thrown + redis.call('DEL', state, blocks, order)
    s = {epoch = fresh, last = 0, kept = 0, active = now, listed = 0, marks = '', span = 0, lead = -2^53}
  elseif redis.pcall('XLEN', blocks) ~= s.blocks or redis.pcall('ZCARD', order) ~= s.blocks then
    thrown = thrown + 1 + redis.call('DEL', blocks, order)
    s.entries = nil
  end
  if not s.entries then
    s.entries, s.blocks, s.bytes = 0, 0, 0
  end
  s.stream, s.order = blocks, order
  return s
end

-- push stores a block. It returns an error, if there is one.
local function push(s, numbers, block)
  local count, at, span, lead = struct.unpack(given, numbers)
  local last = s.last + count
  -- A full Redis refuses this, as the first that a script writes.
  local reply = redis.pcall('XADD', s.stream, string.format('%d-0', last), string.sub(numbers, 1, fieldSize), block)
  if type(reply) == 'table' then
    return reply
  end
  redis.call('ZADD', s.order, 0, struct.pack(member, at, last, count, #block, span))
  s.last, s.entries, s.blocks, s.bytes = last, s.entries + count, s.blocks + 1, s.bytes + #block
  s.span, s.lead = math.max(s.span, span), math.max(s.lead, lead)
end

-- oldest returns the first blocks in the order, at most n.
local function oldest(s, n)
  local blocks = redis.call('ZRANGE', s.order, 0, n - 1)
  for i, text in ipairs(blocks) do
    local at, last, count, size, span = struct.unpack(memberNumbers, text)
    blocks[i] = {at = at, from = at - span, last = last, count = count, size = size}
  end
  return blocks
end

-- trim lets go of the oldest blocks, as long as enough entries stay that are newer than all that
-- leave. Blocks overlap, so it looks at some that stay.
local function trim(s)
  while s.entries > most do
    local n = 32
    local blocks, ids = oldest(s, n), {}
    if blocks[n] and blocks[n].at - s.span < blocks[1].at then
      n = 256
      blocks = oldest(s, n)
    end
    for i, b in ipairs(blocks) do
      local newer, j = s.entries - b.count, i + 1
      while blocks[j] and blocks[j].at - s.span < b.at do
        if blocks[j].from < b.at then
          newer = newer - blocks[j].count
        end
        j = j + 1
      end
      if newer < lines or i > 1 and j > n then
        break
      end
      ids[i] = string.format('%d-0', b.last)
      s.entries, s.bytes = s.entries - b.count, s.bytes - b.size
    end
    if #ids == 0 then
      return
    end
    redis.call('XDEL', s.stream, unpack(ids))
    redis.call('ZREMRANGEBYRANK', s.order, 0, #ids - 1)
    s.blocks = s.blocks - #ids
  end
end

-- store stores the blocks of the i-th app, which begin at arg. It returns how many entries of the
-- batch are stored, or an error.
local function store(i, text, name, before, arg, blocks)
  local state = KEYS[3 * i - 2]
  local s = open(text, state, KEYS[3 * i - 1], KEYS[3 * i])
  local had, at = 0, string.find(s.marks, writer, 1, true) -- where the name that ends our mark begins
  if at then
    local mark = string.sub(s.marks, at - 30, at - 11)
    if mark > sequence then
      had = math.huge
    elseif mark == sequence then
      had = tonumber(string.sub(s.marks, at - 10, at - 1))
    end
  end
  local last, gone, size, done = s.last, s.last - s.kept, s.bytes, before
  for n = arg, arg + 2 * blocks - 1, 2 do
    local count = struct.unpack('>I4', ARGV[n])
    if had >= done + count then
      done = done + count -- an earlier try stored it
    elseif had ~= done then
      break -- it stored a part of it, or Redis lost what comes before it
    else
      local failure = push(s, ARGV[n], ARGV[n + 1])
      if failure then
        return failure
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
  s.kept = math.min(s.kept + s.last - last, s.entries, lines)
  if now - s.listed >= relist or now < s.listed or s.last == last then
    s.listed = now
    names[#names + 1] = name
  end
  stored, bytes, evicted = stored + s.last - last, bytes + s.bytes - size, evicted + s.last - s.kept - gone
  written[#written + 1] = state
  written[#written + 1] = struct.pack(head, format, s.epoch, s.last, s.kept, s.entries, s.blocks, s.bytes,
    s.active, s.listed, s.span, s.lead) .. s.marks
  return had < math.huge and had or done
end

local states, answer, arg, failure = {}, {}, 9, nil
for i = 1, apps do
  states[i] = KEYS[3 * i - 2]
end
states = redis.call('MGET', unpack(states))
for i = 1, apps do
  local before, blocks = tonumber(ARGV[arg + 1]), tonumber(ARGV[arg + 2])
  local done = store(i, states[i], ARGV[arg], before, arg + 3, blocks)
  if type(done) == 'table' then
    failure, done = done, before
  end
  answer[i] = done
  arg = arg + 3 + 2 * blocks
end
if #written == 0 then
  return failure
end
redis.call('MSET', unpack(written))
for i = 1, #written, 2 do
  wake(written[i])
end
if KEYS[3 * apps + 1] then
  for _, name in ipairs(names) do
    index('ZADD', KEYS[3 * apps + 1], 0, name)
    index('ZADD', KEYS[3 * apps + 2], now, name)
  end
  sum(KEYS[3 * apps + 3], {stored = stored, evicted = evicted, bytes = bytes})
end
for _, n in ipairs({stored, evicted, bytes, #names, thrown}) do
  answer[#answer + 1] = n
end
return answer
