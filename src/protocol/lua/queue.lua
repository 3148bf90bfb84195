-- The queue of those who wait for a lock, and the floor of its fencing tokens: what the scripts have in common, included by
-- each that may change the queue.
--
-- KEYS[1]  the user's key
-- KEYS[2]  the hash beside it, which exists only while somebody waits or a floor is to be remembered. The waiters form a
--          doubly linked list of ids:
--            first, last            the ids at its ends
--            ahead:<id> behind:<id> the neighbours; absent at the ends
--            who:<id>               "seen window expiry fencing mailbox": when the waiter last showed up (ms), for how long it
--                                   counts as alive after that (ms), the lease it wants (ms), whether it wants a token (1 or
--                                   0), and the channel that wakes it ("-": none, it looks by itself)
--          and
--            token                  the fencing token that was minted last
--            floor                  the highest one that may have been used: who gets a token may count it up by itself,
--                                   as far as that, while it passes the lock on among its own threads
--
-- Three fields a waiter, so HLEN tells their number. Every change is O(1), whatever the length.

local key, queue = KEYS[1], KEYS[2]

-- How long a waiter that is handed the lock has to show up.
local CLAIM_MS = 1000

-- So many waiters whose connection is gone keep their place for the time being; those beyond have to line up again.
local MAX_SKIPPED = 16

-- How far a token may be counted up. Less than the microseconds that a turn over the network takes, so that the floor never
-- runs ahead of the clock.
local RESERVE = 63

-- For how long the floor outlives the lock, at the least. Not for ever: once the clock has passed it, tokens rise without it.
local LINGER_MS = 60000

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

-- Garbage collection, for a hash that nobody is left to remove.
local function keep(ms)
  if redis.call('PTTL', queue) < ms then
    redis.call('PEXPIRE', queue, whole(ms))
  end
end

local function floor()
  return tonumber(redis.call('HGET', queue, 'floor')) or 0
end

-- A token above all before it: above the floor, should the clock have been set back, and above the clock, should the floor be
-- lost.
local function next_token(now_us)
  return math.max(now_us, floor() + 1)
end

-- Never a script's first write: a server that is out of memory refuses those.
local function note_token(token, expiry_ms)
  redis.call('HSET', queue, 'token', whole(token), 'floor', whole(token + RESERVE))
  keep(expiry_ms + LINGER_MS)
  return token
end

-- Takes an id out of the list, with these neighbours. HDEL comes first: a server that is out of memory refuses a script whose
-- first write may need some.
local function unlink(id, ahead, behind)
  local who, to_ahead, to_behind = 'who:' .. id, 'ahead:' .. id, 'behind:' .. id
  if ahead and behind then
    redis.call('HDEL', queue, who, to_ahead, to_behind)
    redis.call('HSET', queue, 'behind:' .. ahead, behind, 'ahead:' .. behind, ahead)
  elseif ahead then
    redis.call('HDEL', queue, who, to_ahead, 'behind:' .. ahead)
    redis.call('HSET', queue, 'last', ahead)
  elseif behind then
    redis.call('HDEL', queue, who, to_behind, 'ahead:' .. behind)
    redis.call('HSET', queue, 'first', behind)
  else
    redis.call('HDEL', queue, who, 'first', 'last')
  end
end

-- Gives the key, which is free or the caller's to give, to the first waiter that is alive, counted from the first in line
-- (false: there is none); frees it if nobody is.
-- Returns who got it, and with which token (0: it wants none). `caller`, if it is in line itself, needs no waking and gets
-- a full lease. To the others goes a message, and a short lease that they have to extend.
local function hand_over(first, caller)
  local id = first
  local now_us = id and time_us()
  local ahead = false  -- of those that were skipped, the last that keeps its place
  local skipped = 0
  while id do
    local found = redis.call('HMGET', queue, 'who:' .. id, 'behind:' .. id)
    local seen, window, expiry, fencing, mailbox = string.match(found[1], '^(%d+) (%d+) (%d+) ([01]) (.*)$')
    local claim = math.min(tonumber(expiry), mailbox == '-' and tonumber(window) or CLAIM_MS)
    local behind = found[2]
    if id ~= caller and now_us / 1000 - seen > tonumber(window) then
      unlink(id, ahead, behind)
    else
      local token = fencing == '1' and next_token(now_us) or 0
      local reached = 1
      if id == caller then
        claim = tonumber(expiry)
      elseif mailbox ~= '-' then
        -- Before any write: there is no rollback, and the caller may lack the right to publish.
        reached = redis.pcall('PUBLISH', mailbox, table.concat({id, claim, whole(now_us), whole(token)}, ' '))
        if type(reached) == 'table' then break end
      end
      if reached > 0 then
        unlink(id, ahead, behind)
        redis.call('SET', key, id, 'PX', claim)
        if token > 0 then note_token(token, tonumber(expiry)) end
        return id, token
      end
      skipped = skipped + 1
      if skipped > MAX_SKIPPED then
        unlink(id, ahead, behind)
      else
        ahead = id
      end
    end
    id = behind
  end
  redis.call('DEL', key)
  return nil, 0
end
