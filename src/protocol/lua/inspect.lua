-- Tells what stands at some locks, at one moment. Changes nothing.
--
-- KEYS     for each lock four: its key, its line and its floor, as in line.lua, and its label
-- ARGV[1]  of how many places of each line to tell
-- ARGV[2]  how many places to pass over before that
-- ARGV[3]  1: tell only of a key that may be a lock: a string of 36 bytes, or one for which somebody waits; 0: of each
-- reply    a list of strings: the server's time in seconds, and the microseconds of it; then for each lock
--            the type of the key; '-': it is none to tell of, and nothing more follows
--            its PTTL: -1: it has no end; -2: there is no key
--            how many bytes a string has, and its first 128
--            the floor and the label, the first bytes of each; null where there is none
--            how many wait: exact
--            how many places the line has, those of the dead too; -1: something else than a line stands there
--            how many places follow; for each of them
--              the place, its first 256 bytes
--              its ticket
--              the score of its life; null if it has none
--              how many listen to the channel that it names; '': it names none; '-': the caller may not ask
--
-- The work is bounded by the caller: the locks times the places. Repeatable, and allowed on a replica.
local APART = 4000000000000000
local most, from, only_locks = ARGV[1], ARGV[2], ARGV[3] == '1'
local time = redis.call('TIME')
local now = string.format('%.0f', APART + time[1] * 1000000 + time[2])
local may_count = true
local replies = {time[1], time[2]}

local function add(value) replies[#replies + 1] = value end

-- The first bytes of a string.
local function beginning(name, last)
  local text = redis.pcall('GETRANGE', name, '0', last)
  return type(text) == 'string' and text ~= '' and text
end

-- See line.lua, parts().
local function subscribers(place)
  local digit, mailbox = string.sub(place, 37, 37), string.sub(place, 38)
  if digit ~= '' and string.find('4567', digit, 1, true) then mailbox = string.match(mailbox, '^[1-9]%d* (.+)$') or '' end
  local kind, channel = string.sub(mailbox, 1, 1), string.sub(mailbox, 2)
  if channel == '' or (kind ~= 's' and kind ~= 'p') then return '' end
  local count = may_count and redis.pcall('PUBSUB', kind == 's' and 'SHARDNUMSUB' or 'NUMSUB', channel)[2]
  if not count then
    may_count = false
    return '-'
  end
  return tostring(count)
end

local function tell_line(line)
  local places = redis.pcall('ZCOUNT', line, '-inf', '(4000000000000000')
  if type(places) ~= 'number' then
    if not string.find(places.err, 'WRONGTYPE', 1, true) then redis.call('ZCOUNT', line, '-inf', '0') end  -- fails in the same way
    add('0')
    add('-1')
    add('0')
    return
  end
  add(tostring(redis.call('ZCOUNT', line, now, '+inf')))
  add(tostring(places))
  if places == 0 or most == '0' then
    add('0')
    return
  end
  local page = redis.call('ZRANGEBYSCORE', line, '-inf', '(4000000000000000', 'WITHSCORES', 'LIMIT', from, most)
  add(tostring(#page / 2))
  for i = 1, #page, 2 do
    local place = page[i]
    add(string.sub(place, 1, 256))
    add(page[i + 1])
    add(redis.call('ZSCORE', line, string.sub(place, 1, 36)))
    add(subscribers(place))
  end
end

for i = 1, #KEYS, 4 do
  local key, line = KEYS[i], KEYS[i + 1]
  local size = redis.pcall('STRLEN', key)
  if only_locks and size ~= 36 and redis.call('EXISTS', line) == 0 then
    add('-')
  else
    local kind = redis.call('TYPE', key)['ok']
    add(kind)
    add(tostring(redis.call('PTTL', key)))
    add(kind == 'string' and tostring(size) or '0')
    add(kind == 'string' and redis.call('GETRANGE', key, '0', '127') or '')
    add(beginning(KEYS[i + 2], '31'))
    add(beginning(KEYS[i + 3], '639'))
    tell_line(line)
  end
end
return replies
