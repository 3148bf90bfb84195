-- Renews the places of many waiters.
--
-- KEYS     for each waiter two: the key that it waits for, and the line, see line.lua
-- ARGV[1]  for how many milliseconds they count as alive without asking again
--          then for each waiter two: its id and its details
-- reply    for each waiter
--          0: it goes through acquire.lua: it has no place, perhaps because the lock is its own; or the key is free
--          1: its place is renewed
--          2: the same, and it is the first in line: acquire.lua tells when the present lease ends
--
-- Nobody else might look at a key that is free: the owner may have died, and so may the first in line.
--
-- Repeatable. A broken line has no places. The first write changes nothing and is one that a server out of memory allows: who
-- is in line already stays there.
local time = redis.call('TIME')
local life = string.format('%.0f', 4000000000000000 + time[1] * 1000000 + time[2] + ARGV[1] * 1000)
local window = tonumber(ARGV[1])
local ttl = string.format('%d', 2 * window)
redis.pcall('ZREM', KEYS[2], '')

local replies = {}
for i = 1, #KEYS / 2 do
  local line, id = KEYS[2 * i], ARGV[2 * i]
  local place = id .. ARGV[2 * i + 1]
  if redis.call('EXISTS', KEYS[2 * i - 1]) == 1 and type(redis.pcall('ZSCORE', line, place)) == 'string' then
    redis.call('ZADD', line, life, id)
    if redis.call('PTTL', line) < window then redis.call('PEXPIRE', line, ttl) end
    replies[i] = redis.call('ZRANGE', line, '0', '0')[1] == place and 2 or 1
  else
    replies[i] = 0
  end
end
return replies
