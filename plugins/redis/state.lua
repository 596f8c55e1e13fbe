-- What the scripts share: it is put before each of them.
--
-- An app's state is a head, its runs and its marks. The head: a byte for the format, the
-- epoch (8 bytes), the position of the last entry (8), how many entries are kept (4), the
-- bytes of all blocks (8), when the last entry came and when the app was last put on the
-- list of apps (4 each, in seconds), and how many runs follow (1). A run: how many entries
-- and how many blocks its stream has (4 each), how many entries it ever had (8), its tail,
-- which is the latest publish time of its entries (8 bytes of µs, 2 of ns), its slip, by how
-- much an entry of it was published before the tail at most (8, in µs), and the latest time
-- that an entry states (8, in µs). A mark: the sequence of a writer's last batch (20 digits)
-- and how many of the app's entries in that batch are stored (10 digits), a space, the
-- writer's name (which has neither), a line break; the writer that stored last comes first.
-- Marks are compared as text: a number of Lua is exact up to 2^53 only.
local format, most = 3, 4
local head, headSize = '>Bc8I8I4I8I4I4B', 38
local run, runSize = 'I4I4I8I8I2I8I8', 42

-- parse answers an app's state as a table, or nil if it is not one.
local function parse(text)
  local runs = text and #text >= headSize and string.byte(text) == format and string.byte(text, headSize)
  if not runs or runs > most or #text < headSize + runs * runSize then
    return nil
  end
  local s = {runs = {}, marks = string.sub(text, headSize + runs * runSize + 1)}
  local _
  _, s.epoch, s.last, s.kept, s.bytes, s.active, s.listed = struct.unpack(head, text)
  for i = 1, runs do
    local r = {}
    r.entries, r.blocks, r.added, r.tail, r.rest, r.slip, r.stated =
      struct.unpack('>' .. run, text, headSize + (i - 1) * runSize + 1)
    s.runs[i] = r
  end
  return s
end

-- pack is the opposite of parse.
local function pack(s)
  local parts = {struct.pack(head, format, s.epoch, s.last, s.kept, s.bytes, s.active, s.listed, #s.runs)}
  for i, r in ipairs(s.runs) do
    parts[i + 1] = struct.pack('>' .. run, r.entries, r.blocks, r.added, r.tail, r.rest, r.slip, r.stated)
  end
  parts[#parts + 1] = s.marks
  return table.concat(parts)
end

-- stem is what the keys of an app begin with.
local function stem(state)
  return string.sub(state, 1, -#'state' - 1)
end

-- wake tells the followers of an app, if it has any, that there is something new. That it may
-- not be allowed to is no fault of the call. The key is not among KEYS, though in the same
-- slot: while a cluster moves a slot, it refuses a script one of whose keys does not exist.
local function wake(state)
  if redis.pcall('EXISTS', stem(state) .. 'followed') == 1 then
    redis.pcall('PUBLISH', 'logger:{%apps}:wake', state)
  end
end

-- index changes a key of the index. If it is not what it should be, it begins anew.
local function index(command, key, ...)
  local reply = redis.pcall(command, key, ...)
  if type(reply) == 'table' then
    if string.find(reply.err, '^WRONGTYPE') or string.find(reply.err, '^ERR') then
      redis.call('DEL', key)
    end
    redis.call(command, key, ...)
  end
end

-- sum adds to the sums over all apps: totals is their key.
local function sum(totals, ...)
  local args = {...}
  for i = 1, #args, 2 do
    if args[i + 1] ~= 0 then
      index('HINCRBY', totals, args[i], string.format('%d', args[i + 1]))
    end
  end
end
