-- The scripts share this part: it is put before each of them.
--
-- An app has three keys. Its blocks are a stream: an entry has the position of the last line
-- of a block as its id, and one field, whose name is the count and the publish time (given,
-- below) and whose value is the block. Its order is a sorted set of texts (member, below), one
-- for each block, by publish time. Its state is a head and marks. The head has a byte for the
-- format, the epoch, the position of the last entry, how many entries are kept, how many
-- entries and how many blocks are stored, the bytes of the blocks, when the last entry came and
-- when the app was last put on the list of apps (both in seconds), the greatest span of a
-- block's publish times (ns), and by how much an entry's own time is after the publish time of
-- its block at most (µs). A mark has the sequence of a writer's last batch (20 digits), how many
-- of the app's entries in that batch are stored (10 digits), a space, the writer's name (which
-- has no space), and a line break. The writer that stored last comes first. Marks are compared
-- as text: a number of Lua is exact up to 2^53 only.
local format, head, headSize = 4, '>Bc8I8I4I4I4I8I4I4I4i8', 57

-- parse returns an app's state as a table, or nil if the text is none.
local function parse(text)
  if not text or #text < headSize or string.byte(text) ~= format then
    return nil
  end
  local s, _ = {}
  _, s.epoch, s.last, s.kept, s.entries, s.blocks, s.bytes, s.active, s.listed, s.span, s.lead = struct.unpack(head, text)
  s.marks = string.sub(text, headSize + 1)
  return s
end

-- key returns another key of the app that has the state.
local function key(state, suffix)
  return string.sub(state, 1, -#'state' - 1) .. suffix
end

-- wake tells the followers of an app, if it has any, that something is new. A refusal to
-- publish is no fault of the call. The key is not among KEYS, though in the same slot: while a
-- cluster moves a slot, it refuses a script one of whose keys does not exist.
local function wake(state)
  if redis.pcall('EXISTS', key(state, 'followed')) == 1 then
    redis.pcall('PUBLISH', 'logger:{%apps}:wake', state)
  end
end

-- index changes a key of the index. A key of another type begins anew.
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
