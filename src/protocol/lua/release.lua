-- Gives a lock back, if it is still the caller's, to the first in line or to nobody; or takes the caller out of the line.
--
-- KEYS     see queue.lua
-- ARGV[1]  the owner's, or waiter's, id
-- reply    1: it was the caller's, and is not any more
--          0: it was not: expired, deleted, taken over, or never held; if the caller had a place in the queue, it has none
--             any more
-- error    WRONGTYPE: something else than a lock is stored at the key
--
-- Repeatable: a second run finds the key gone, or another owner in it, and changes nothing. A caller that repeats a
-- release whose answer was lost must therefore take 0 for success if the first attempt was made within the lease.
-- The first write is never one that a server out of memory refuses. A floor of fencing tokens stays behind until its TTL ends.
local is_owner = redis.call('GET', KEYS[1]) == ARGV[1]
local first = is_owner and redis.call('HGET', KEYS[2], 'first')
if is_owner and not first then
  return redis.call('DEL', KEYS[1])
end

-- @include queue.lua

if is_owner then
  hand_over(first)
  return 1
end
if redis.call('HEXISTS', queue, 'who:' .. ARGV[1]) == 1 then
  local neighbours = redis.call('HMGET', queue, 'ahead:' .. ARGV[1], 'behind:' .. ARGV[1])
  unlink(ARGV[1], neighbours[1], neighbours[2])
end
return 0
