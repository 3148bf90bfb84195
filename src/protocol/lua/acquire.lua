-- Takes a lock, or a place in the queue for it; asked again, renews the place.
--
-- KEYS     see queue.lua
-- ARGV[1]  the caller's id
-- ARGV[2]  the lease in milliseconds
-- ARGV[3]  the channel that wakes the caller; "-": it looks by itself
-- ARGV[4]  for how many milliseconds the caller counts as alive without asking again
-- ARGV[5]  how many may wait
-- reply    {0, now}                         the lock is the caller's, with a full lease from now
--          {1, now, pttl, waiters, first}   in line; pttl of the present lease (-1: it has none), the number of waiters,
--                                           and 1 if nobody is ahead of the caller
--          {2, now, pttl, waiters}          too many are waiting; nothing was changed
--          `now` is the server's time in microseconds
-- error    WRONGTYPE: something else than a lock is stored at the key
--
-- Repeatable: who holds the lock, or has a place, keeps it. A lock that its owner was handed while it looked away (the
-- message was lost) is found here.
-- @include queue.lua

local id, expiry = ARGV[1], ARGV[2]
local owner = redis.call('GET', key)
local now_us = time_us()

if owner == id then
  redis.call('PEXPIRE', key, expiry)
  return {0, now_us}
end

local first = redis.call('HGET', queue, 'first')
if not owner and not first then
  redis.call('SET', key, id, 'PX', expiry)
  return {0, now_us}
end

local in_line = redis.call('HEXISTS', queue, 'who:' .. id) == 1
if not in_line and waiters() >= tonumber(ARGV[5]) then
  return {2, now_us, redis.call('PTTL', key), waiters()}
end
local who = whole(now_us / 1000) .. ' ' .. ARGV[4] .. ' ' .. expiry .. ' ' .. ARGV[3]
if in_line then
  redis.call('HSET', queue, 'who:' .. id, who)
elseif first then
  local last = redis.call('HGET', queue, 'last')
  redis.call('HSET', queue, 'who:' .. id, who, 'ahead:' .. id, last, 'behind:' .. last, id, 'last', id)
else
  redis.call('HSET', queue, 'who:' .. id, who, 'first', id, 'last', id)
end
-- Garbage collection, for a queue whose waiters have all died.
if redis.call('PTTL', queue) < tonumber(ARGV[4]) then
  redis.call('PEXPIRE', queue, 2 * ARGV[4])
end

-- The holder died, or somebody else than us deleted the key.
if not owner and hand_over(id) == id then
  return {0, now_us}
end
local is_first = redis.call('HGET', queue, 'first') == id
return {1, now_us, redis.call('PTTL', key), waiters(), is_first and 1 or 0}
