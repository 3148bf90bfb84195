-- Takes a lock, or a place in the queue for it; asked again, renews the place.
--
-- KEYS     see queue.lua
-- ARGV[1]  the caller's id
-- ARGV[2]  the lease in milliseconds
-- ARGV[3]  the channel that wakes the caller; "-": it looks by itself
-- ARGV[4]  for how many milliseconds the caller counts as alive without asking again
-- ARGV[5]  how many may wait; 0: the caller does not
-- ARGV[6]  1: with a fencing token; 0: without
-- reply    {0, now, token}                  the lock is the caller's, with a full lease from now; token is 0 without fencing
--          {1, now, pttl, waiters, first}   in line; pttl of the present lease (-1: it has none), the number of waiters,
--                                           and 1 if nobody is ahead of the caller
--          {2, now, pttl, waiters}          taken, and as many are waiting as may; the caller has no place
--          `now` is the server's time in microseconds
-- error    WRONGTYPE: something else than a lock is stored at the key
--
-- Repeatable: who holds the lock, or has a place, keeps it, and gets the token that was minted before. A lock that its owner
-- was handed while it looked away (the message was lost) is found here.
-- @include queue.lua

local id, expiry, fencing = ARGV[1], ARGV[2], ARGV[6]
local owner = redis.call('GET', key)
local now_us = time_us()

if owner == id then
  redis.call('PEXPIRE', key, expiry, 'GT')  -- a late repeat must not shorten what was extended since
  local token = fencing == '1' and tonumber(redis.call('HGET', queue, 'token')) or 0
  if fencing == '1' and token == 0 then  -- the hash was evicted
    token = note_token(next_token(now_us), tonumber(expiry))
  end
  return {0, now_us, token}
end

local first = redis.call('HGET', queue, 'first')
if not owner and not first then
  redis.call('SET', key, id, 'PX', expiry)
  return {0, now_us, fencing == '1' and note_token(next_token(now_us), tonumber(expiry)) or 0}
end

local in_line = redis.call('HEXISTS', queue, 'who:' .. id) == 1
if not in_line and waiters() >= tonumber(ARGV[5]) then
  -- The holder died, or somebody else than us deleted the key: that is no reason to let those in line wait on.
  if not owner then hand_over(first) end
  return {2, now_us, redis.call('PTTL', key), waiters()}
end
local who = table.concat({whole(now_us / 1000), ARGV[4], expiry, fencing, ARGV[3]}, ' ')
if in_line then
  redis.call('HSET', queue, 'who:' .. id, who)
elseif first then
  local last = redis.call('HGET', queue, 'last')
  redis.call('HSET', queue, 'who:' .. id, who, 'ahead:' .. id, last, 'behind:' .. last, id, 'last', id)
else
  redis.call('HSET', queue, 'who:' .. id, who, 'first', id, 'last', id)
end
if redis.call('PTTL', queue) < tonumber(ARGV[4]) then
  keep(2 * ARGV[4])
end

if not owner then
  local heir, token = hand_over(first or id, id)
  if heir == id then
    return {0, now_us, token}
  end
end
local is_first = redis.call('HGET', queue, 'first') == id
return {1, now_us, redis.call('PTTL', key), waiters(), is_first and 1 or 0}
