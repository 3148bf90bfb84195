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
--            how many wait: exact; 0 where there are no places
--            how many places the line has, those of the dead too; -1: something else than a line stands there
--            how many places follow; for each of them
--              the place, its first 256 bytes
--              its ticket
--              1: it is alive; 0: its life is over, or it has none
--              how many listen to the channel that it names; '': it names none; '-': the caller may not ask
--
-- The work is bounded by the caller: the locks times the places. Repeatable, and allowed on a replica.
local APART = 4000000000000000
local most, from, only_locks = ARGV[1], ARGV[2], ARGV[3] == '1'
local time = redis.call('TIME')
local now = string.format('%.0f', APART + time[1] * 1000000 + time[2])
local may_count = true
local replies = {time[1], time[2]}

local byte, sub = string.byte, string.sub

local function add(value) replies[#replies + 1] = value end

-- The first bytes of a string.
local function beginning(name, last)
  local text = redis.pcall('GETRANGE', name, '0', last)
  return type(text) == 'string' and text ~= '' and text
end

-- The kind of mailbox that a place names, and its channel: see line.lua, parts(). Nothing if it names none.
local function mailbox_of(place)
  local digit, kind, channel = byte(place, 37), byte(place, 38), sub(place, 39)
  if digit and digit >= 52 and digit <= 55 then  -- 4 to 7: a lease stands before it
    local mailbox = string.match(place, '^[1-9]%d* (.+)$', 38) or ''
    kind, channel = byte(mailbox), sub(mailbox, 2)
  end
  if channel == '' then return nil end
  if kind == 115 then return 's', channel elseif kind == 112 then return 'p', channel end
end

-- By channel, how many listen to it. All are asked for in one command: the server needs longer for a command than for a channel.
local function listeners(kind, channels)
  if not channels[1] then return {} end
  local counts = may_count and redis.pcall('PUBSUB', kind == 's' and 'SHARDNUMSUB' or 'NUMSUB', unpack(channels))
  if not counts or counts.err then
    may_count = false
    return {}
  end
  local of = {}
  for i = 1, #counts, 2 do of[counts[i]] = tostring(counts[i + 1]) end
  return of
end

-- How many lives of the line are not over; and by id, which are: one command, where a life for each place would be one for each. The
-- second is nil where it does not tell which places are alive: there are too many, or places without a life.
local function living(line, places)
  local lives = redis.call('ZCOUNT', line, '4000000000000000', '+inf')
  local over = redis.call('ZRANGEBYSCORE', line, '4000000000000000', '(' .. now, 'LIMIT', '0', '64')
  if over[64] then return redis.call('ZCOUNT', line, now, '+inf') end
  local of
  if lives == places then
    of = {}
    for i = 1, #over do of[over[i]] = true end
  end
  return lives - #over, of
end

local function is_alive(line, id)
  local life = redis.call('ZSCORE', line, id)
  return life and life - now >= 0
end

-- The places of a page, and what each has beside it.
local function tell_places(line, page, over)
  local kinds, channels, of = {}, {}, {s = {}, p = {}}
  for i = 1, #page, 2 do
    local kind, channel = mailbox_of(page[i])
    if kind then
      kinds[i], channels[i] = kind, channel
      of[kind][#of[kind] + 1] = channel
    end
  end
  of = {s = listeners('s', of.s), p = listeners('p', of.p)}
  local last = #replies
  for i = 1, #page, 2 do
    local place, kind = page[i], kinds[i]
    local id = sub(place, 1, 36)
    local alive
    if over then alive = not over[id] else alive = is_alive(line, id) end
    replies[last + 1] = #place <= 256 and place or sub(place, 1, 256)
    replies[last + 2] = page[i + 1]
    replies[last + 3] = alive and '1' or '0'
    replies[last + 4] = kind and (of[kind][channels[i]] or '-') or ''
    last = last + 4
  end
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
  if places == 0 or most == '0' then
    add(places == 0 and '0' or tostring(redis.call('ZCOUNT', line, now, '+inf')))
    add(tostring(places))
    add('0')
    return
  end
  local waiting, over = living(line, places)
  local page = redis.call('ZRANGEBYSCORE', line, '-inf', '(4000000000000000', 'WITHSCORES', 'LIMIT', from, most)
  add(tostring(waiting))
  add(tostring(places))
  add(tostring(#page / 2))
  tell_places(line, page, over)
end

for i = 1, #KEYS, 4 do
  local key, line = KEYS[i], KEYS[i + 1]
  -- '' where there is no key, too; an error where there is something else than a string.
  local value = redis.pcall('GETRANGE', key, '0', '127')
  local size = type(value) == 'string' and #value
  if size == 128 then size = redis.call('STRLEN', key) end
  if only_locks and size ~= 36 and redis.call('EXISTS', line) == 0 then
    add('-')
  else
    local kind = size and size > 0 and 'string' or redis.call('TYPE', key)['ok']
    add(kind)
    add(tostring(redis.call('PTTL', key)))
    add(kind == 'string' and tostring(size) or '0')
    if kind == 'string' and not size then redis.call('GETRANGE', key, '0', '127') end  -- fails in the same way
    add(kind == 'string' and value or '')
    add(beginning(KEYS[i + 2], '31'))
    add(beginning(KEYS[i + 3], '639'))
    tell_line(line)
  end
end
return replies
