-- The queue of those who wait for a lock: what the scripts that change it have in common, included by each.
--
-- KEYS[1]  the user's key
-- KEYS[2]  the hash beside it, which exists only while somebody waits: a doubly linked list of the waiters' ids
--            first, last            the ids at its ends
--            ahead:<id> behind:<id> the neighbours; absent at the ends
--            who:<id>               "seen window expiry mailbox": when the waiter last showed up (ms), for how long it counts
--                                   as alive after that (ms), the lease it wants (ms), and the channel that wakes it ("-":
--                                   none, it looks by itself)
--
-- Three fields a waiter, so HLEN tells their number. Every change is O(1), whatever the length.

local key, queue = KEYS[1], KEYS[2]

-- How long a waiter that is handed the lock has to show up.
local CLAIM_MS = 1000

-- So many waiters whose connection is gone keep their place for the time being; those beyond have to line up again.
local MAX_SKIPPED = 16

local function time_us()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local function whole(number)
  return string.format('%.0f', number)
end

local function waiters()
  return math.floor(redis.call('HLEN', queue) / 3)
end

local function leave(id)
  local neighbours = redis.call('HMGET', queue, 'ahead:' .. id, 'behind:' .. id)
  local ahead, behind = neighbours[1], neighbours[2]
  -- HDEL comes first: a server that is out of memory refuses a script whose first write may need some.
  redis.call('HDEL', queue, 'who:' .. id, 'ahead:' .. id, 'behind:' .. id)
  if ahead and behind then
    redis.call('HSET', queue, 'behind:' .. ahead, behind, 'ahead:' .. behind, ahead)
  elseif ahead then
    redis.call('HDEL', queue, 'behind:' .. ahead)
    redis.call('HSET', queue, 'last', ahead)
  elseif behind then
    redis.call('HDEL', queue, 'ahead:' .. behind)
    redis.call('HSET', queue, 'first', behind)
  else
    redis.call('HDEL', queue, 'first', 'last')
  end
end

-- Gives the key, which is free or the caller's to give, to the first waiter that is alive; frees it if there is none.
-- Returns who got it. `caller`, if it is in line itself, needs no waking and gets a full lease. To the others goes a
-- message, and a short lease that they have to extend.
local function hand_over(caller)
  local id = redis.call('HGET', queue, 'first')
  local now_us = id and time_us()
  local skipped = 0
  while id do
    local found = redis.call('HMGET', queue, 'who:' .. id, 'behind:' .. id)
    local seen, window, expiry, mailbox = string.match(found[1], '^(%d+) (%d+) (%d+) (.*)$')
    if id == caller then
      leave(id)
      redis.call('SET', key, id, 'PX', expiry)
      return id
    elseif now_us / 1000 - seen > tonumber(window) then
      leave(id)
    else
      local claim = math.min(tonumber(expiry), CLAIM_MS)
      local reached = 1
      if mailbox == '-' then
        claim = math.min(tonumber(expiry), tonumber(window))
      else
        -- Before any write: there is no rollback, and the caller may lack the right to publish.
        reached = redis.pcall('PUBLISH', mailbox, id .. ' ' .. claim .. ' ' .. whole(now_us))
        if type(reached) == 'table' then break end
      end
      if reached > 0 then
        leave(id)
        redis.call('SET', key, id, 'PX', claim)
        return id
      end
      skipped = skipped + 1
      if skipped > MAX_SKIPPED then leave(id) end
    end
    id = found[2]
  end
  redis.call('DEL', key)
  return nil
end
