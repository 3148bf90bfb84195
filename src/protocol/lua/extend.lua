-- Starts the leases of some locks anew, of each that is still its owner's; or only looks whether they are.
--
-- KEYS     for each lock two, as in queue.lua
-- ARGV[1]  1: the caller has the server track the keys that this reads (CLIENT CACHING YES came before); 0: it has not
--          then for each lock four:
--            the owner's id
--            the new lease in milliseconds, from now; 0: leave it as it is
--            GT: unless that would shorten it, as a request that arrives late could; "": exactly so
--            the highest fencing token that may be used under this id; 0: none
-- reply    for each lock
--          0: it was not the owner's any more; nothing was changed, and it is never taken again from here
--          1 + n: it is, and n wait for it
--
-- Repeatable: a second run starts the leases a little later. The first write is PEXPIRE, which a server that is out of
-- memory still allows.
local replies = {}
for i = 1, #KEYS / 2 do
  local key, queue = KEYS[2 * i - 1], KEYS[2 * i]
  local id, expiry, condition, token = unpack(ARGV, 4 * i - 2, 4 * i + 1)
  -- A key of another type is no lock of ours either, and no reason to refuse the others.
  if redis.pcall('GET', key) == id then
    if expiry ~= '0' then
      if condition == 'GT' then
        redis.call('PEXPIRE', key, expiry, 'GT')
      else
        redis.call('PEXPIRE', key, expiry)
      end
      if token ~= '0' then
        if tonumber(token) > (tonumber(redis.call('HGET', queue, 'floor')) or 0) then
          redis.call('HSET', queue, 'floor', token)
        end
        local keep_ms = expiry + 60000  -- LINGER_MS in acquire.lua
        if redis.call('PTTL', queue) < keep_ms then redis.call('PEXPIRE', queue, keep_ms) end
      end
    end
    replies[i] = 1 + math.floor(redis.call('HLEN', queue) / 3)
    -- A write ends the tracking of a key without a word to the connection that wrote: the last access must be a read.
    if ARGV[1] == '1' then redis.call('GET', key) end
  else
    replies[i] = 0
  end
end
return replies
