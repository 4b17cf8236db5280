-- An ordinary token bucket in whole numbers: a carrier's segments per second (its burst is meant).
--
-- KEYS[1] is the bucket. ARGV: rate a second, burst, segments wanted.
-- The answer is msgpack: {granted, milliseconds to wait for more}.

local TOKEN = 1000000 -- A bucket gains `rate` of these parts of a token each microsecond.
local KEY_LIFE_MS = 10000 -- Longer than any bucket needs to fill up, so a lost key is a full one.

local function clock_us()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local rate, burst, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local now = clock_us()
local level = burst * TOKEN
local stored = redis.call('GET', KEYS[1])
if stored then
  local held, at = cmsgpack.unpack(stored)
  level = math.min(level, held + math.max(0, now - at) * rate)
end

local granted = math.min(wanted, math.floor(level / TOKEN))
level = level - granted * TOKEN
redis.call('SET', KEYS[1], cmsgpack.pack(level, now), 'PX', KEY_LIFE_MS)

-- Half a burst is worth coming back for; single tokens of a fast carrier would mean polling.
local missing = math.min(wanted - granted, math.max(1, math.floor(burst / 2)))
local wait_ms = math.ceil((missing * TOKEN - level) / rate / 1000)
return cmsgpack.pack({granted, math.max(0, wait_ms)})
