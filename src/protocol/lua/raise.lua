-- Tells a server of a quorum the fencing token that the owner of a lock is going to use: the highest that the servers have minted. From
-- then on it mints higher ones only.
--
-- KEYS[1]  the floor, see line.lua
-- ARGV[1]  the token
-- ARGV[2]  for how many milliseconds it is kept in mind
-- reply    1
--
-- Repeatable, and never lowers a floor. What is no number there is none of ours, and is replaced.
local floor = redis.pcall('GET', KEYS[1])
floor = type(floor) == 'string' and tonumber(floor)
if not floor or floor < tonumber(ARGV[1]) then redis.call('PSETEX', KEYS[1], ARGV[2], ARGV[1]) end
return 1
