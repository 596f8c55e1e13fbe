-- What the scripts share: it is put before each of them.
--
-- The list has two elements for each block, oldest first: the block, and how many entries
-- are in it. So the scripts count entries without a block ever becoming a string of
-- Lua, which goes through every byte of it.
--
-- The state is a byte for its format; the epoch, 8 bytes; five numbers of 8 bytes: the
-- position of the last entry, how many entries are kept, how many the list has, how
-- many blocks, and how many entries are in the oldest block; then for each writer, the one
-- that stored last first, its mark, a space, its name (which has neither), a line break. A
-- mark is the sequence of the writer's last batch (20 digits) and how many of the app's
-- entries in that batch are stored (10 digits). Marks are compared as text: a number of
-- Lua is exact up to 2^53 only.
--
-- The oldest block may have entries that are not kept any more. They are not read, not
-- counted, and go with the last of their block that is.
local layout, head = '>c1c8I8I8I8I8I8', 49 -- bytes of the state before the marks

-- size is how many entries the block has that is the i-th, from 0. One that somebody
-- wrote something else to counts as 1, here as in Go.
local function size(list, i)
  local n = tonumber(redis.call('LINDEX', list, 2 * i + 1))
  if n and n >= 1 and n < 2^31 then
    return math.floor(n)
  end
  return 1
end

local function pack(epoch, last, kept, total, blocks, oldest)
  return struct.pack(layout, '\2', epoch, last, kept, total, blocks, oldest)
end

-- look makes sense of an app's state and of how many elements its list has. It answers
-- what the state has, then whether the state is one, and how many elements the list has
-- that no block of the log is in.
local function look(state, list, length, lines, fresh)
  local epoch, last, kept, total, blocks, oldest = fresh, 0, 0, 0, 0, 0
  local known = state and #state >= head and string.byte(state) == 2
  if known then
    local _
    _, epoch, last, kept, total, blocks, oldest = struct.unpack(layout, state)
    if length == 2 * blocks then
      return epoch, last, kept, total, blocks, oldest, true, 0
    elseif length > 2 * blocks then
      -- Somebody else pushed it: nobody reads it.
      return epoch, last, kept, total, blocks, oldest, true, length - 2 * blocks
    elseif length == 0 then
      -- Redis may have evicted the list alone: positions go on.
      return epoch, last, 0, 0, 0, 0, true, 0
    end
  elseif length == 0 then
    return epoch, 0, 0, 0, 0, 0, false, 0
  end
  -- Or the state alone: what there is becomes the beginning of another epoch.
  total, blocks = 0, math.floor(length / 2)
  for i = 0, blocks - 1 do
    total = total + size(list, i)
  end
  if blocks > 0 then
    oldest = size(list, 0)
  end
  if known then
    kept = math.min(kept, total)
  else
    kept = math.min(lines, total)
    last = kept
  end
  return epoch, last, kept, total, blocks, oldest, known, length - 2 * blocks
end
