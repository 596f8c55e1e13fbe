-- Stores entries of some apps, each once, and lets go of those that are not kept.
--
-- KEYS  for each app its state, blocks and order (see state.lua); then, unless each app has a
--       slot of its own, the names, activity and sums of the index
-- ARGV  1 how many apps, 2 entries to keep of each, 3 an epoch for logs that begin now (8
--       bytes), 4 the writer's name as it ends its mark, 5 the sequence of its batch as it
--       begins its mark, 6 how many writers to remember, 7 the time in seconds; then for each app
--       its name, how many of its entries of the batch come before these, how many blocks (0
--       where its log has to be mended only); and for each block two arguments: its label,
--       without its position, and the block.
-- Returns for each app how many of its entries of the batch are stored now; then
-- the sums over the apps of what was stored, evicted, added in bytes; how many apps belong
-- on the list; and how many logs and keys were mended.
--
local apps, lines, fresh, writer, sequence = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]
local writers, now = tonumber(ARGV[6]), tonumber(ARGV[7])
-- After so many seconds an app is put on the list of apps again: Redis may have lost that.
local relist = 3600
-- Some more entries are stored than kept, so that blocks leave some at once; not many, since reads
-- of older pages look at them.
local most = lines + math.min(math.floor(lines / 8), 512)
local listed, written = {}, {}

-- push stores a block of so many entries. It returns an error, if there is one.
local function push(s, text, count, block)
  local last = s.last + count
  text = string.sub(text, 1, 8) .. struct.pack('>I8', last) .. string.sub(text, 17)
  -- A full Redis refuses this, as the first that a script writes.
  local reply = redis.pcall('XADD', s.stream, id(text), text, block)
  if type(reply) == 'table' then
    return reply
  end
  enlist(s, text)
  s.last = last
end

-- trim lets go of the oldest blocks, as long as enough entries stay that are newer than all that
-- leave. Blocks overlap, so it looks at some that stay: first at twice as many as are to leave, if
-- blocks are alike.
local function trim(s)
  local n
  while s.entries > most do
    n = n and 256 or math.min(4 + 2 * math.ceil((s.entries - lines) * s.blocks / s.entries), 256)
    local blocks, ids = redis.call('ZRANGE', s.order, 0, n - 1), {}
    for i, text in ipairs(blocks) do
      local at, _, count, size, span = struct.unpack(label, text)
      blocks[i] = {at = at, from = at - span, text = text, count = count, size = size}
    end
    for i, b in ipairs(blocks) do
      local newer, j = s.entries - b.count, i + 1
      while blocks[j] and blocks[j].at - s.span < b.at do
        if blocks[j].from < b.at then
          newer = newer - blocks[j].count
        end
        j = j + 1
      end
      if newer < lines or j > n and (i > 1 or n < 256) then
        break
      end
      ids[i] = id(b.text)
      s.entries, s.bytes = s.entries - b.count, s.bytes - b.size
    end
    if #ids > 0 then
      redis.call('XDEL', s.stream, unpack(ids))
      redis.call('ZREMRANGEBYRANK', s.order, 0, #ids - 1)
      s.blocks = s.blocks - #ids
    elseif n == 256 then
      return
    end
  end
end

-- mark notes in the log that so many entries of the batch are stored. Of the writers, those stay
-- that stored last.
local function mark(s, stored)
  local marks, n = sequence .. string.format('%010d', stored) .. writer, 1
  for other in string.gmatch(s.marks, '[^\n]*\n') do
    if n < writers and string.sub(other, 31) ~= writer then
      marks, n = marks .. other, n + 1
    end
  end
  s.marks = marks
end

-- store stores the blocks of the i-th app, which begin at arg. It returns how many entries of the
-- batch are stored, or an error.
local function store(i, text, name, done, arg, blocks)
  local s = open(text, KEYS[3 * i - 2], KEYS[3 * i - 1], KEYS[3 * i], fresh, lines, now)
  local at = string.find(s.marks, writer, 1, true)
  local sent = at and string.sub(s.marks, at - 30, at - 11) or ''
  local had = sent > sequence and math.huge or sent == sequence and tonumber(string.sub(s.marks, at - 10, at - 1)) or 0
  local last, gone, size = s.last, s.last - s.kept, s.bytes
  for n = arg, arg + 2 * blocks - 1, 2 do
    local _, _, count = struct.unpack(label, ARGV[n])
    if had == done then
      local failure = push(s, ARGV[n], count, ARGV[n + 1])
      if failure then
        return failure
      end
      had = done + count
    elseif had < done + count then
      break -- an earlier try stored a part of it, or Redis lost what comes before it
    end
    done = done + count
  end
  if s.last == 0 then
    return had
  end
  if s.last > last then
    mark(s, had)
    s.active = now
  end
  trim(s)
  s.kept = math.min(s.kept + s.last - last, s.entries, lines)
  if now - s.listed >= relist or now < s.listed or s.last == last then
    s.listed = now
    listed[#listed + 1] = name
  end
  change.stored, change.evicted = change.stored + s.last - last, change.evicted + s.last - s.kept - gone
  change.bytes = change.bytes + s.bytes - size
  -- A repetition is written all the same: WAIT tells of a connection's own writes only.
  written[#written + 1] = s.key
  written[#written + 1] = packed(s)
  wake(s.key)
  return had < math.huge and had or done
end

local states, answer, arg, failure = {}, {}, 8, nil
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
if failure and #written == 0 then
  return failure
end
if #written > 0 then
  redis.call('MSET', unpack(written))
end
local index = 3 * apps + 1
if KEYS[index] then
  account(KEYS[index], KEYS[index + 1], KEYS[index + 2], listed, {}, now)
end
for _, n in ipairs({change.stored, change.evicted, change.bytes, #listed, mended}) do
  answer[#answer + 1] = n
end
return answer
