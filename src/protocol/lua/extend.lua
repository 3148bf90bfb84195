-- Starts the leases of some locks anew, of each that is still its owner's; or only looks whether they are.
--
-- KEYS     for each lock two: its key and its line, as in line.lua; or the key of one lock, as while a slot of a cluster moves: then it
--          is as if nobody waited
-- ARGV[1]  1: the caller has the server track the keys that this reads (CLIENT CACHING YES came before); 0: it has not
--          then for each lock three:
--            the owner's id
--            the new lease in milliseconds, from now; 0: leave it as it is
--            1: not if that would shorten it, as a request that arrives late could; 0: exactly so
-- reply    for each lock
--          0: it was not the owner's any more; nothing was changed, and it is never taken again from here
--          1 + n: it is, and n wait for it
--
-- Repeatable: a second run starts the leases a little later. One broken lock is one broken lock: the others are extended all
-- the same; and a broken line is one in which nobody waits. The first write is PEXPIRE, which a server that is out of memory
-- still allows.
local now  -- as lives are scored in line.lua; read when it is needed

-- How many of those in line are alive.
local function waiting(line)
  if not line or redis.call('EXISTS', line) == 0 then return 0 end
  if not now then
    local time = redis.call('TIME')
    now = string.format('%.0f', 4000000000000000 + time[1] * 1000000 + time[2])
  end
  local count = redis.pcall('ZCOUNT', line, now, '+inf')
  return type(count) == 'number' and count or 0
end

local replies = {}
for i = 1, (#KEYS + 1) / 2 do
  local key = KEYS[2 * i - 1]
  if redis.pcall('GET', key) == ARGV[3 * i - 1] then
    local expiry = ARGV[3 * i]
    if expiry ~= '0' and (ARGV[3 * i + 1] == '0' or redis.call('PTTL', key) < tonumber(expiry)) then
      redis.call('PEXPIRE', key, expiry)
    end
    replies[i] = 1 + waiting(KEYS[2 * i])
    -- A write ends the tracking of a key without a word to the connection that wrote: the last access must be a read.
    if ARGV[1] == '1' then redis.call('GET', key) end
  else
    replies[i] = 0
  end
end
return replies
