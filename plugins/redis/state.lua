-- What the scripts share: it is put before each of them.
--
-- An app's state is a head, its runs and its marks. The head: a byte for the format, the
-- epoch (8 bytes), the position of the last entry (8), how many entries are kept (4), the
-- bytes of all blocks (8), when the last entry came and when the app was last put on the
-- list of apps (4 each, in seconds), and how many runs follow (1). A run: how many entries
-- and how many blocks its stream has (4 each), how many entries it ever had (8), its tail,
-- which is the latest publish time of its entries (8 bytes of µs, 2 of ns), its slip, by how
-- much an entry of it was published before the tail at most (8, in µs), the latest time
-- that an entry states (8, in µs), and how many pieces follow (2): parts of the run, oldest
-- first, that leave as a whole. A piece: how many entries (4), the position of the last (8), the
-- tail of the run up to it (8, in µs), and the bytes of its blocks (4). A mark: the sequence of a writer's last batch (20 digits)
-- and how many of the app's entries in that batch are stored (10 digits), a space, the
-- writer's name (which has neither), a line break; the writer that stored last comes first.
-- Marks are compared as text: a number of Lua is exact up to 2^53 only.
local format, most = 3, 8
local head, headSize = '>Bc8I8I4I8I4I4B', 38
local run, runSize = '>I4I4I8I8I2I8I8I2', 44
local piece, pieceSize = '>I4I8I8I4', 24

-- parse answers an app's state as a table, or nil if it is not one. Texts of Lua are slow to
-- make: the pieces stay where they are, from one byte to another, and those that are new
-- come after them.
local function parse(text)
  if not text or #text < headSize or string.byte(text) ~= format then
    return nil
  end
  local s, at, _, runs = {runs = {}, text = text}, headSize + 1
  _, s.epoch, s.last, s.kept, s.bytes, s.active, s.listed, runs = struct.unpack(head, text)
  for i = 1, runs do
    if #text < at + runSize - 1 then
      return nil
    end
    local r, pieces = {new = {}}
    r.entries, r.blocks, r.added, r.tail, r.rest, r.slip, r.stated, pieces = struct.unpack(run, text, at)
    r.from, r.to = at + runSize, at + runSize + pieces * pieceSize - 1
    s.runs[i], at = r, r.to + 1
  end
  s.marks = string.sub(text, at)
  return runs <= most and s or nil
end

-- key is the key of an app's i-th run; its state has the other one.
local function key(state, i)
  return string.sub(state, 1, -#'state' - 1) .. 'run' .. i
end

-- forget answers how many of an app's keys there were, and deletes them by the command.
local function forget(command, state)
  local all = {state}
  for i = 1, most do
    all[i + 1] = key(state, i)
  end
  return redis.pcall(command, unpack(all))
end

-- wake tells the followers of an app, if it has any, that there is something new. That it may
-- not be allowed to is no fault of the call. The key is not among KEYS, though in the same
-- slot: while a cluster moves a slot, it refuses a script one of whose keys does not exist.
local function wake(state)
  if redis.pcall('EXISTS', string.sub(state, 1, -#'state' - 1) .. 'followed') == 1 then
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

-- sum adds to the sums over all apps, whose key is totals.
local function sum(totals, changes)
  for field, n in pairs(changes) do
    if n ~= 0 then
      index('HINCRBY', totals, field, string.format('%d', n))
    end
  end
end
