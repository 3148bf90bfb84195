-- Looks which of some locks are their owners', and then writes: what the replicas have received up to this write they have received of
-- those locks, too. A WAIT right behind it on the same connection counts them.
--
-- KEYS     the keys of the locks; then a key of our own in the same slot of a cluster, whose value is of no matter. Or the key of one lock
--          only, as while a slot of a cluster moves: then the lock's own lease is written, as it is
-- ARGV     for each lock the owner's id
-- reply    for each lock how many milliseconds its lease has left, -1: it has no end; 0: it is not the owner's, or ends now
--
-- A server that has taken the place of another may have the lock, but not what was written to it last. So the reply tells how long it lasts.
--
-- Repeatable. The key of our own is there for a minute after each use. The lock's own key is left alone, because a write to it would be
-- told to those who track it. The first write is PEXPIRE, which a server that is out of memory still allows.
local replies = {}
for i, id in ipairs(ARGV) do
  replies[i] = redis.pcall('GET', KEYS[i]) == id and redis.call('PTTL', KEYS[i]) or 0
end
local own = KEYS[#ARGV + 1]
if not own then
  local left = redis.call('PTTL', KEYS[1])
  if left > 0 then redis.call('PEXPIRE', KEYS[1], left) end
elseif redis.call('PEXPIRE', own, '60000') == 0 then
  redis.call('SET', own, '', 'PX', '60000')
end
return replies
