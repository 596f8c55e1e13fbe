-- Finds blocks with an entry whose own time is not before a moment, in the order of publishing.
--
-- KEYS  the order of an app
-- ARGV  1 ZRANGEBYLEX or ZREVRANGEBYLEX, 2 and 3 its bounds, 4 how many blocks to find at most, 5
--       the moment, as a label ends with it
-- Returns labels. The last block that was looked at is always among them, so that the next call
-- can go on behind it. An empty text behind them says that there are no more.
local most = 2000
local texts, found = redis.call(ARGV[1], KEYS[1], ARGV[2], ARGV[3], 'LIMIT', 0, most), {}
for i, text in ipairs(texts) do
  if string.sub(text, 29) >= ARGV[5] or i == #texts then
    found[#found + 1] = text
    if #found == tonumber(ARGV[4]) then
      return found
    end
  end
end
if #texts < most then
  found[#found + 1] = ''
end
return found
