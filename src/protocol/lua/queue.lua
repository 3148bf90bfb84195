-- The queue of those who wait for a lock, and the floor of its fencing tokens: what the scripts have in common, included by
-- each that may change the queue.
--
-- KEYS[1]  the user's key
-- KEYS[2]  the hash beside it, which exists only while somebody waits or a floor is to be remembered. The waiters form a
--          doubly linked list of ids:
--            first, last            the ids at its ends
--            ahead:<id> behind:<id> the neighbours; absent at the ends
--            who:<id>               "until claim floor mailbox": when the waiter counts as dead unless it shows up again (ms),
--                                   the lease that it is handed (ms), for how long a floor has to stay for the token that
--                                   it wants (ms; 0: it wants none), and the channel that wakes it ("-": none, it looks by
--                                   itself)
--          and
--            token                  the fencing token that was minted last
--            floor                  the highest one that may have been used: who gets a token may count it up by itself,
--                                   as far as that, while it passes the lock on among its own threads
--
-- Three fields a waiter, so HLEN tells their number. Every change is O(1), whatever the length.
--
-- Mostly these lines run when a lock is handed over, after a while in which the server slept: then each command, function or
-- kind of thing that is used costs a microsecond or more the first time. That is why the times of the server stay the strings
-- that they come as, and tokens are strings, and what can be worked out when a waiter lines up is.

local key, queue = KEYS[1], KEYS[2]

-- So many waiters whose connection is gone keep their place for the time being; those beyond have to line up again.
local MAX_SKIPPED = 16

-- How far a token may be counted up. Less than the microseconds that a turn over the network takes, so that the floor never
-- runs ahead of the clock.
local RESERVE = 63

local function whole(number)
  return string.format('%.0f', number)
end

-- A token above all before it: above the floor, should the clock have been set back, and above the clock, should the floor be
-- lost. `time` is what TIME replied.
local function next_token(time)
  local now_us = time[1] * 1000000 + time[2]
  local floor = tonumber(redis.call('HGET', queue, 'floor')) or 0
  return whole(math.max(now_us, floor + 1))
end

-- Garbage collection, for a hash that nobody is left to remove.
local function keep(ms)
  if redis.call('PTTL', queue) < tonumber(ms) then
    redis.call('PEXPIRE', queue, ms)
  end
end

-- Never a script's first write: a server that is out of memory refuses those.
local function note_token(token, floor_ms)
  redis.call('HSET', queue, 'token', token, 'floor', whole(token + RESERVE))
  keep(floor_ms)
end

-- Takes an id out of the list, with these neighbours.
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
-- Returns who got it, and with which token ('0': it wants none). `caller`, if it is in line itself, needs no waking and gets
-- a full lease, of `expiry`. To the others goes a message, and a short lease that they have to extend.
local function hand_over(first, caller, expiry)
  local id = first
  -- Changes nothing. A server that takes no writes (a replica, too few replicas, a full disk) refuses this before anybody is
  -- told. And HDEL is allowed out of memory, which lets a script go on that has written.
  if id then redis.call('HDEL', queue, '') end
  local time = id and redis.call('TIME')
  local ahead = false  -- of those that were skipped, the last that keeps its place
  local skipped = 0
  while id do
    local found = redis.call('HMGET', queue, 'who:' .. id, 'behind:' .. id)
    local until_ms, claim, floor_ms, mailbox = string.match(found[1], '^(%d+) (%d+) (%d+) (.*)$')
    local behind = found[2]
    if id ~= caller and until_ms - time[1] * 1000 < time[2] / 1000 then
      unlink(id, ahead, behind)
    else
      local token = floor_ms ~= '0' and next_token(time) or '0'
      local reached = 1
      if id == caller then
        claim = expiry
      elseif mailbox ~= '-' then
        -- Asked first: a message also reaches those who are subscribed at a replica, and PUBLISH does not count them. The
        -- caller may lack the right to ask.
        local subscribers = redis.pcall('PUBSUB', 'NUMSUB', mailbox)
        reached = subscribers.err and 1 or subscribers[2]
        if reached > 0 then
          -- Before the list is changed: there is no rollback, and the caller may lack the right to publish.
          local message = id .. ' ' .. claim .. ' ' .. time[1] .. ' ' .. time[2] .. ' ' .. token
          reached = redis.pcall('PUBLISH', mailbox, message)
          if type(reached) == 'table' then break end
        end
      end
      if reached > 0 then
        unlink(id, ahead, behind)
        redis.call('SET', key, id, 'PX', claim)
        if token ~= '0' then note_token(token, floor_ms) end
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
end
