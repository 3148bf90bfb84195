-- Starts a lock's lease anew, if it is still the caller's.
--
-- KEYS[1]  the user's key
-- KEYS[2]  the hash with the queue beside it, see queue.lua
-- ARGV[1]  the owner's id
-- ARGV[2]  the new lease in milliseconds, from now
-- reply    0: the lock was not the caller's any more; nothing was changed, and it is never taken again from here
--          1 + n: extended, and n wait for it
-- error    WRONGTYPE: something else than a lock is stored at the key
--
-- Repeatable: a second run starts the lease a little later. The only write is PEXPIRE, which a server that is out of
-- memory still allows.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return 1 + math.floor(redis.call('HLEN', KEYS[2]) / 3)
end
return 0
