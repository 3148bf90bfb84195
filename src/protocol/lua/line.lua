-- The line of those who wait for a lock: what the scripts have in common, included by each that may change it.
--
-- KEYS[1]  the user's key: a string, the owner's id
-- KEYS[2]  the line beside it: a sorted set, which exists only while somebody waits. Each waiter has two members:
--            id .. details  its place: scored with its ticket, the microsecond of its arrival
--            id             its life: scored with APART + the microsecond until which it counts as alive
--          An id has 36 characters. The details are
--            one digit      the sum of 1 (wants a fencing token), 2 (wants to be told when it becomes the first in line)
--                           and 4 (the lease that it is to be handed follows, in milliseconds, and a blank; else it is
--                           1000). Another digit is of a newer version: that place is passed over, and kept until its
--                           life is over.
--            a mailbox      how it is woken: "s" and a sharded channel, "p" and a plain one, or "-": it looks by itself
--          Tickets are below APART, so the member of rank 0 is the first in line. Equal tickets are in the order of the ids.
-- KEYS[3]  the floor: a string with a TTL, the highest fencing token of the last owner that gave the lock to nobody
--
-- Nothing here is trusted. Something else than a sorted set is dropped as a whole, a member that is no place as it is met, and
-- so is a place without a life: that is how half a removal ends.
--
-- Mostly these lines run after a while in which the server slept: then each command, function or kind of thing that is used
-- costs a microsecond or more the first time. So the parts of an entry stand at fixed places, and numbers that commands are
-- given are strings where they can be.
local key, line = KEYS[1], KEYS[2]
local APART = 4000000000000000

-- So many places are looked at in one run.
local MOST = 64

-- So many living waiters whose connection is gone keep their place for the time being; those beyond have to line up again.
local MOST_ABSENT = 16

-- Numbers up to here are whole in Lua. A floor above it is none of ours.
local LARGEST = 9007199254740992

-- The first in line, and the one behind it; nil where there is none. Always the first access to the line: its type is right
-- from then on.
local function head()
  local found = redis.pcall('ZRANGE', line, '0', '1')
  if not found.err then return found[1], found[2] end
  if not string.find(found.err, 'WRONGTYPE', 1, true) then redis.call('ZRANGE', line, '0', '0') end  -- fails in the same way
  redis.call('UNLINK', line)
end

-- A token above `floor` (false: there is none) and not below the clock: a string of digits. One that is ahead of the clock,
-- because that was set back, is kept as the floor: a repeated request must not get a lower one.
local function mint(time, floor)
  local token = time[1] .. string.sub('00000' .. time[2], -6)
  floor = type(floor) == 'string' and tonumber(floor)
  if floor and floor >= tonumber(token) and floor < LARGEST then
    token = string.format('%.0f', floor + 1)
    redis.call('PSETEX', KEYS[3], '60000', token)
  end
  return token
end

-- What an entry says: the waiter's id, its digit, the lease it is to be handed, the kind of its mailbox, and the channel.
-- No digit: a newer version wrote it. No kind: it is no place.
local function parts(entry)
  local digit, claim, mailbox = string.sub(entry, 37, 37), '1000', string.sub(entry, 38)
  if digit == '' or not string.find('01234567', digit, 1, true) then return string.sub(entry, 1, 36) end
  if digit > '3' then
    claim, mailbox = string.match(mailbox, '^([1-9]%d*) (.+)$')
    mailbox = mailbox or ''
  end
  local kind, channel = string.sub(mailbox, 1, 1), string.sub(mailbox, 2)
  if kind ~= '-' and (channel == '' or kind ~= 's' and kind ~= 'p') then kind = nil end
  return string.sub(entry, 1, 36), digit, claim, kind, channel
end

local function send(kind, channel, message)
  return redis.pcall(kind == 's' and 'SPUBLISH' or 'PUBLISH', channel, message)
end

-- Tells a waiter that it is the first in line now, behind an owner whose lease may end after `ms`; if it wants to know.
local function tell_first(entry, ms)
  local id, digit, _, kind, channel = parts(entry)
  if kind and kind ~= '-' and string.find('2367', digit, 1, true) then
    send(kind, channel, id .. ' first ' .. ms)
  end
end

-- Gives the key, which is free or the caller's to give, to the first in line that is alive and can be told.
--   entry, behind  what head() returned
--   floor          the fencing token of the owner that gives, if it has one
--   caller         the id of the waiter that asks, if it is in line itself: it needs no message, and gets a lease of `expiry`
-- Returns who got it, and the token ('0': it wants none). Or '': the caller may not send messages; the key is free now, nobody
-- has been told, and each looks by itself. Or nil: nobody got it; then the second result is true if there may be somebody
-- behind the dead that were removed.
--
-- The order of the commands matters. Whether a message reaches anybody is asked before it is sent, so nobody is told who is then
-- passed over: also not a client of a server that was demoted, which this one's message reaches all the same. What a server may
-- refuse comes before the message, so nobody is told what did not happen. ZREM is the first of the writes: a server that is out
-- of memory allows it, and then the others.
local function hand_over(entry, behind, floor, caller, expiry)
  local time = redis.call('TIME')
  local now = APART + time[1] * 1000000 + time[2]
  local others, gone
  local looked, absent = 0, 0
  repeat
    local id, digit, claim, kind, channel = parts(entry)
    local life = (kind or not digit) and redis.call('ZSCORE', line, id)
    local stays = life and life - now >= 0
    if stays and digit then
      local reached = kind == '-'
      if id == caller then
        reached, claim, kind = true, expiry, '-'
      elseif not reached then
        -- Refused, because the caller lacks the right: the message goes without asking.
        reached = redis.pcall('PUBSUB', kind == 's' and 'SHARDNUMSUB' or 'NUMSUB', channel)[2] ~= 0
      end
      if reached then
        redis.call('ZREM', line, entry, id)
        redis.call('SET', key, id, 'PX', claim)
        local token = '0'
        if string.find('1357', digit, 1, true) then
          token = mint(time, floor or redis.pcall('GET', KEYS[3]))
        elseif floor then
          redis.call('PSETEX', KEYS[3], '60000', floor)  -- the next owner does not know it
        end
        if gone and gone[1] then redis.call('ZREM', line, unpack(gone)) end
        if kind ~= '-' then
          local sent = send(kind, channel, id .. ' ' .. claim .. ' ' .. time[1] .. ' ' .. time[2] .. ' ' .. token)
          if type(sent) == 'table' then
            -- Back to the head of the line.
            local ticket = redis.call('ZRANGE', line, '0', '0', 'WITHSCORES')[2]
            redis.call('ZADD', line, life, id, ticket and ticket - 1 or now - APART, entry)
            -- It was the last one: then the TTL has gone with the line.
            if not ticket then redis.call('PEXPIRE', line, string.format('%d', (life - now) / 500 + 1)) end
            redis.call('DEL', key)
            return ''
          end
        end
        if others then behind = others[looked + 1] end
        if behind then tell_first(behind, claim) end
        return id, token
      end
      absent = absent + 1
      stays = absent <= MOST_ABSENT
    end
    if not others then
      -- Of the places only: by score, because lives stand behind the last of them.
      others, gone = redis.call('ZRANGEBYSCORE', line, '-inf', '(4000000000000000', 'LIMIT', '1', '63'), {}
    end
    if not stays then
      gone[#gone + 1] = entry
      gone[#gone + 1] = id
    end
    looked = looked + 1
    entry = others[looked]
  until not entry
  if gone[1] then redis.call('ZREM', line, unpack(gone)) end
  return nil, looked == MOST and gone[1] ~= nil
end
