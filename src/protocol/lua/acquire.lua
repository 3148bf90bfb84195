-- Takes a lock, or a place in the queue for it; asked again, renews the place.
--
-- KEYS     see queue.lua
-- ARGV[1]  the caller's id
-- ARGV[2]  the lease in milliseconds
-- ARGV[3]  the channel that wakes the caller; "-": it looks by itself
-- ARGV[4]  for how many milliseconds the caller counts as alive without asking again
-- ARGV[5]  how many may wait; 0: the caller does not
-- ARGV[6]  1: with a fencing token; 0: without
-- reply    {0, now, token}   the lock is the caller's, with a full lease from now; token is 0 without fencing
--          {1, now}          in line, behind others
--          {1, now, pttl}    first in line; pttl of the present lease (-1: it has none)
--          {2, now}          taken, and as many are waiting as may; the caller has no place
--          `now` is the server's time in microseconds
-- error    WRONGTYPE: something else than a lock is stored at the key
--
-- Repeatable: who holds the lock, or has a place, keeps it, and gets the token that was minted before. A lock that its owner
-- was handed while it looked away (the message was lost) is found here.
-- @include queue.lua

-- How long a waiter that is handed the lock has to show up.
local CLAIM_MS = 1000

-- For how long the floor outlives the lock, at the least. Not for ever: once the clock has passed it, tokens rise without it.
local LINGER_MS = 60000

local id, expiry, mailbox, window, fencing = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[6] == '1'
local floor_ms = fencing and whole(expiry + LINGER_MS) or '0'
local owner = redis.call('GET', key)
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]

-- What a token that is wanted comes to; a number, as the reply has it.
local function mint()
  if not fencing then return 0 end
  local token = next_token(time)
  note_token(token, floor_ms)
  return tonumber(token)
end

if owner == id then
  redis.call('PEXPIRE', key, expiry, 'GT')  -- a late repeat must not shorten what was extended since
  local token = fencing and redis.call('HGET', queue, 'token')
  return {0, now_us, tonumber(token) or mint()}  -- minted again only if the hash was evicted
end

local found = redis.call('HMGET', queue, 'first', 'last', 'who:' .. id)
local first, last, in_line = found[1], found[2], found[3]
if not owner and not first then
  redis.call('SET', key, id, 'PX', expiry)
  return {0, now_us, mint()}
end

if not in_line and redis.call('HLEN', queue) >= 3 * ARGV[5] then
  -- The holder died, or somebody else than us deleted the key: that is no reason to let those in line wait on.
  if not owner then hand_over(first) end
  return {2, now_us}
end
local claim = mailbox == '-' and window or CLAIM_MS
if expiry - claim < 0 then claim = expiry end
local who = whole(now_us / 1000 + window) .. ' ' .. claim .. ' ' .. floor_ms .. ' ' .. mailbox
if in_line then
  redis.call('HSET', queue, 'who:' .. id, who)
elseif first then
  redis.call('HSET', queue, 'who:' .. id, who, 'ahead:' .. id, last, 'behind:' .. last, id, 'last', id)
else
  redis.call('HSET', queue, 'who:' .. id, who, 'first', id, 'last', id)
end
if redis.call('PTTL', queue) < tonumber(window) then
  redis.call('PEXPIRE', queue, 2 * window)
end

if not owner then
  local heir, token = hand_over(first or id, id, expiry)
  if heir == id then
    return {0, now_us, tonumber(token)}
  end
  first = redis.call('HGET', queue, 'first')
end
if first and first ~= id then
  return {1, now_us}
end
return {1, now_us, redis.call('PTTL', key)}
