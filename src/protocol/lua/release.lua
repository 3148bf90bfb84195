-- Gives a lock back, if it is still the caller's: to the first in line, or to nobody. Or takes the caller out of the line. A lock
-- that nobody holds goes to the first in line, too.
--
-- KEYS     see line.lua; the first one alone, as while a slot of a cluster moves: then nobody is looked for in line; if the owner
--          may have written a label beside the key, KEYS[4] is the label, which goes with the lock
-- ARGV[1]  the owner's, or waiter's, id
-- ARGV[2]  the highest fencing token that was used with the lock; '': none
-- ARGV[3]  the details of a waiter's place, see line.lua; '': the caller has none
-- ARGV[4]  what they were before, for a waiter that gives up while its mailbox changes: its place may still be under those;
--          may be left out
-- reply    1: it was the caller's, and is not any more
--          0: it was not: expired, deleted, taken over, or never held; if the caller had a place in line, it has none any more
--          2: dead waiters were removed, as many as one run may look at, and the lock is where it was: ask again at once
-- error    WRONGTYPE: something else than a lock is stored at the key
--
-- Repeatable: a second run finds the key gone, or another owner in it, and changes nothing. A caller that repeats a release
-- whose answer was lost must therefore take 0 for success if the first attempt was made within the lease.
-- The first write is never one that a server out of memory refuses. A floor of fencing tokens stays behind for a minute.
local owner = redis.call('GET', KEYS[1])
local is_owner = owner == ARGV[1]
local floor = is_owner and ARGV[2] ~= '' and ARGV[2]
if is_owner and KEYS[4] then redis.call('DEL', KEYS[4]) end
if is_owner and (not KEYS[2] or redis.call('EXISTS', KEYS[2]) == 0) then
  redis.call('DEL', KEYS[1])
  if floor then redis.call('PSETEX', KEYS[3], '60000', floor) end
  return 1
end
if not KEYS[2] then return 0 end

-- @include line.lua

if not is_owner then
  if ARGV[3] ~= '' then
    local first, second = head()
    local place, former = ARGV[1] .. ARGV[3], ARGV[1] .. (ARGV[4] or ARGV[3])
    redis.call('ZREM', line, ARGV[1], place, former)
    if owner and second and (first == place or first == former) then
      tell_first(second, math.max(redis.call('PTTL', key), 0))
    end
  end
  if owner then return 0 end
end
local first, second = head()
if first then
  local heir, more = hand_over(first, second, floor)
  if heir then return is_owner and 1 or 0 end
  if more then return 2 end
end
if not is_owner then return 0 end
redis.call('DEL', key)
if floor then redis.call('PSETEX', KEYS[3], '60000', floor) end
return 1
