-- Gives a lock back, if it is still the caller's.
--
-- KEYS[1]  the user's key
-- ARGV[1]  the owner's id
-- reply    1: it was the caller's, and is free now
--          0: it was not: expired, deleted or taken over; nothing was changed
-- error    WRONGTYPE: something else than a lock is stored at the key
--
-- Repeatable: a second run finds the key gone, or another owner in it, and changes nothing. A caller that repeats a
-- release whose answer was lost must therefore take 0 for success if the first attempt was made within the lease.
-- The only write is DEL, which a server that is out of memory still allows.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
