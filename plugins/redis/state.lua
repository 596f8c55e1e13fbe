-- The scripts share this part: it is put before each of them.
--
-- An app has three keys. Its blocks are a stream: an entry has the position of the last line
-- of a block as its id, and one field, whose name is the block's label and whose value is the
-- block. Its order is a sorted set of the same labels, so by publish time. Its state is a head
-- and marks. The head has a byte for the format, the epoch, the position of the last entry, how
-- many entries are kept, how many entries and how many blocks are stored, the bytes of the blocks
-- before they were compressed, when the last entry came and when the app was last put on the list
-- of apps (both in seconds), and the greatest span of a block's publish times (ns). A mark has the
-- sequence of a writer's last batch (20 digits), how many of the app's entries in that batch are
-- stored (10 digits), a space, the writer's name (which has no space), and a line break. The
-- writer that stored last comes first. Marks are compared as text: a number of Lua is exact up to
-- 2^53 only.
local format, head, headSize = 6, '>Bc8I8I4I4I4I8I4I4I4', 49
-- A label has the publish time of the block's last entry and that entry's position, how many
-- entries it has and how many bytes before it was compressed, the span of its publish times, and
-- the newest of its entries' own times. The last may be beyond what a number of Lua has, and the
-- first is exact to half a microsecond. As bytes, times are in their order.
local label, labelSize = '>I8I8I4I4I4', 36

-- What a call changes of the sums over all apps, and how many logs it had to mend.
local change, mended = {stored = 0, evicted = 0, deleted = 0, bytes = 0}, 0

-- packed returns a log's state as it is stored.
local function packed(s)
  return struct.pack(head, format, s.epoch, s.last, s.kept, s.entries, s.blocks, s.bytes,
    s.active, s.listed, s.span) .. s.marks
end

-- parse returns an app's state as a table, or nil if the text is none.
local function parse(text)
  if type(text) ~= 'string' or #text < headSize or string.byte(text) ~= format then
    return nil
  end
  local s, _ = {}
  _, s.epoch, s.last, s.kept, s.entries, s.blocks, s.bytes, s.active, s.listed, s.span = struct.unpack(head, text)
  s.marks = string.sub(text, headSize + 1)
  return s.epoch ~= string.rep('\0', 8) and s or nil
end

-- id is that of a block in the stream.
local function id(text)
  return string.format('%d-0', (struct.unpack('>I8', text, 9)))
end

-- enlist puts a block into the order of its log, and into its sums.
local function enlist(s, text)
  local _, _, count, size, span = struct.unpack(label, text)
  redis.call('ZADD', s.order, 0, text)
  s.entries, s.blocks, s.bytes = s.entries + count, s.blocks + 1, s.bytes + size
  s.span = math.max(s.span, span)
end

-- adopt enlists all blocks of the stream. It returns false where something there is not ours.
local function adopt(s)
  local from = '-'
  s.entries, s.blocks, s.bytes = 0, 0, 0
  while true do
    local found = redis.pcall('XRANGE', s.stream, from, '+', 'COUNT', 100)
    if found.err or #found == 0 then
      return not found.err
    end
    for _, entry in ipairs(found) do
      local text = entry[2][1]
      if #text ~= labelSize or #entry[2] > 2 or entry[1] ~= id(text) then
        return false
      end
      enlist(s, text)
    end
    from = '(' .. found[#found][1]
  end
end

-- open returns the log of an app whose state is the text. Where Redis evicted one of its keys, or
-- another program put something in its place, what is left is mended: the order and the sums are
-- made anew from the blocks, if all of these are ours. A log without a state begins a new epoch.
-- Positions go on, so that readers learn of what is lost.
local function open(text, state, blocks, order, fresh, lines, now)
  local known, count = parse(text), redis.pcall('XLEN', blocks)
  local s = known or {epoch = fresh, last = 0, kept = 0, bytes = 0, active = 0, listed = 0, marks = '', span = 0}
  s.key, s.stream, s.order = state, blocks, order
  if known and count == s.blocks and redis.pcall('ZCARD', order) == count then
    return s
  end
  local kept, bytes, removed = s.kept, s.bytes, redis.call('DEL', order)
  if not adopt(s) then
    removed = removed + redis.call('DEL', blocks, order)
    s.entries, s.blocks, s.bytes = 0, 0, 0
  end
  if known then
    s.kept = math.min(kept, s.entries)
    change.evicted, change.bytes = change.evicted + kept - s.kept, change.bytes + s.bytes - bytes
  elseif s.blocks > 0 then
    local info = redis.call('XINFO', 'STREAM', blocks)
    for i = 1, #info, 2 do
      if info[i] == 'last-generated-id' then
        s.last = tonumber(string.match(info[i + 1], '%d+'))
      end
    end
    s.kept, s.active = math.min(s.entries, lines), now
  elseif removed + redis.call('DEL', state) == 0 then
    return s -- it is a new one
  end
  if s.last > 0 then
    redis.call('SET', state, packed(s))
  end
  mended = mended + 1
  return s
end

-- wake tells the followers of an app, if it has any, that something is new, or that somebody
-- deleted an epoch: for a while, a key says so. A refusal is no fault of the call. These keys
-- are not among KEYS, though in the same slot: while a cluster moves a slot, it refuses a script
-- one of whose keys does not exist.
local function wake(state, deleted)
  local prefix = string.sub(state, 1, -#'state' - 1)
  if redis.pcall('EXISTS', prefix .. 'followed') == 1 then
    if deleted then
      redis.pcall('SET', prefix .. 'deleted:' .. deleted, '', 'EX', 30)
    end
    redis.pcall('PUBLISH', 'logger:{%apps}:wake', state)
  end
end

-- account changes the index, whose keys are the names, activity and sums of all apps. Of names
-- and activity, one is made anew from the other. Sums that are gone stay so, and it returns false:
-- the plugin counts them anew from the apps.
local function account(names, active, totals, listed, unlisted, at)
  for key, other in pairs({[names] = active, [active] = names}) do
    if redis.call('TYPE', key).ok ~= 'zset' then
      mended = mended + redis.call('DEL', key)
      redis.pcall('ZUNIONSTORE', key, 1, other, 'WEIGHTS', 0)
    end
  end
  local counted = redis.pcall('HEXISTS', totals, 'stored') == 1
  if not counted and redis.call('ZCARD', names) == 0 then -- nothing to count yet
    redis.call('DEL', totals)
    counted = true
  end
  for sum, n in pairs(change) do
    if counted and n ~= 0 and type(redis.pcall('HINCRBY', totals, sum, string.format('%d', n))) == 'table' then
      redis.call('DEL', totals) -- somebody wrote to a field
      counted = false
    end
  end
  for _, name in ipairs(listed) do
    redis.call('ZADD', names, 0, name)
    redis.call('ZADD', active, at, name)
  end
  for _, name in ipairs(unlisted) do
    redis.call('ZREM', names, name)
    redis.call('ZREM', active, name)
  end
  return counted
end
