-- Takes a lock, or a place in line for it; asked again, renews the place.
--
-- KEYS     see line.lua
-- ARGV[1]  the caller's id
-- ARGV[2]  the lease in milliseconds
-- ARGV[3]  details, see line.lua: the same in every request of an id, unless ARGV[6] says otherwise
-- ARGV[4]  for how many milliseconds the caller counts as alive without asking again
-- ARGV[5]  how many may wait; 0: the caller does not
-- ARGV[6]  what ARGV[3] was before, for a caller whose mailbox has changed: it keeps its place; or ''
-- ARGV[7]  the ticket to line up with, in microseconds; '': the present moment
-- ARGV[8]  1: if the lock is the caller's, it yields: it lines up with its ticket, and the lock goes to the first in line as in a
--          hand-over. That may be the caller, which then keeps it; no limit keeps it out. '', or left out: what is the caller's stays so
-- reply    {0, now, token}  the lock is the caller's, with a full lease from now; token 0: none is wanted
--          {1, now}         in line, behind others
--          {1, now, pttl}   first in line; pttl of the present lease (-1: it has none; -2: the key is free, and those in line
--                           look by themselves, because the caller may not send messages)
--          {2, now}         taken, and as many are waiting as may; the caller has no place
--          {3, now}         nobody was given the lock so far: dead waiters were removed, as many as one run may look at. Ask the same
--                           again at once
--          `now` is the server's time in microseconds
-- error    WRONGTYPE: something else than a lock is stored at the key
--
-- Repeatable: whoever holds the lock, or has a place, keeps it. A repeat may bring a higher fencing token than the answer that
-- was lost did, never a lower one. A lock that its owner was handed while it looked away (the message was lost) is found here.
-- A caller that yields twice has its place by then, or was handed the lock once more, and has the same ticket as before.
--
-- A caller that lines up writes that first: a server that is out of memory refuses it, and so grants nothing.
-- @include line.lua

local id, expiry, details, window, was = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[6]
local owner = redis.call('GET', key)
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local place = id .. details

-- The reply to the owner.
local function held()
  local fenced = string.find('1357', string.sub(details, 1, 1), 1, true)
  return {0, now, fenced and tonumber(mint(time, redis.pcall('GET', KEYS[3]))) or 0}
end

local function take()
  redis.call('SET', key, id, 'PX', expiry)
  return held()
end

-- A late repeat must not shorten what was extended since.
local function keep()
  if redis.call('PTTL', key) < tonumber(expiry) then redis.call('PEXPIRE', key, expiry) end
  return held()
end

local yields = owner == id and ARGV[8] == '1'
if owner == id and not yields then return keep() end
local first, second = head()
if yields then
  if not first then return keep() end
  -- From here on it is as if the key were free; and if it comes back to the caller, then not with less than it had.
  local left = redis.call('PTTL', key)
  if left > tonumber(expiry) then expiry = string.format('%d', left) end
  owner = false
end
if not owner and not first then return take() end

local ticket = first and redis.call('ZSCORE', line, place)
if not ticket and first and was ~= '' then
  ticket = redis.call('ZSCORE', line, id .. was)
  if ticket then redis.call('ZREM', line, id .. was) end
end
-- The living are counted: a life that is over counts no more.
if not ticket and not yields and redis.call('ZCOUNT', line, APART + now, '+inf') >= tonumber(ARGV[5]) then
  if owner then return {2, now} end
  -- The holder died, or somebody else than us deleted the key: that is no reason to let those in line wait on.
  local heir, more = hand_over(first, second)
  if heir then return {2, now} end
  if more then return {3, now} end
  return take()
end
local life = APART + now + window * 1000
if not ticket or was ~= '' then
  -- Should there be an older place of this id (a request of a link that broke, which arrived late): that one is dropped when it is
  -- met, because the life goes with whichever is served.
  ticket = ticket or ARGV[7] ~= '' and ARGV[7] or time[1] .. string.sub('00000' .. time[2], -6)
  redis.call('ZADD', line, life, id, ticket, place)
  if first and (was ~= '' or ARGV[7] ~= '') then first, second = head() end
else
  redis.call('ZADD', line, life, id)
end
-- Garbage collection, for a line that nobody is left to remove.
if redis.call('PTTL', line) < tonumber(window) then redis.call('PEXPIRE', line, string.format('%d', 2 * window)) end
first = first or place
if not owner then
  local heir, token = hand_over(first, second, nil, id, expiry)
  if heir == id then return {0, now, tonumber(token)} end
  if not heir then
    if token then return {3, now} end
    -- None of the many in front can be served: a newer version's places, which only that version understands.
    redis.call('ZREM', line, place, id)
    return take()
  end
  first = redis.call('ZRANGE', line, '0', '0')[1]
end
if first ~= place then return {1, now} end
return {1, now, redis.call('PTTL', key)}
