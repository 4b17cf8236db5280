-- Requests per minute and account: tokens come back 60 s after the end of the second they were
-- taken in, so no rolling minute sees more than the limit.
--
-- KEYS are accounts, one per request, repeated as they come. ARGV[1] is msgpack: a limit for each.
-- The answer is msgpack: {allowed, remaining, seconds until the next is allowed} for each.

local SLOT_MS = 1000
local WINDOW_MS = 60000

local function clock_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local now = clock_ms()
local windows = {} -- by key: {slot, count, slot, count, ...}, oldest first

local function returns_at(slot)
  return (slot + 1) * SLOT_MS + WINDOW_MS
end

local function load(key)
  if windows[key] then return windows[key] end
  local window = {}
  local stored = cmsgpack.unpack(redis.call('GET', key) or cmsgpack.pack({}))
  for i = 1, #stored, 2 do
    if returns_at(stored[i]) > now then
      window[#window + 1] = stored[i]
      window[#window + 1] = stored[i + 1]
    end
  end
  windows[key] = window
  return window
end

local function used_in(window)
  local used = 0
  for i = 2, #window, 2 do used = used + window[i] end
  return used
end

-- A slot older than the newest one (the clock went back) joins the newest.
local function push(window, slot)
  local size = #window
  if size > 0 and window[size - 1] >= slot then
    window[size] = window[size] + 1
  else
    window[size + 1], window[size + 2] = slot, 1
  end
end

local function retry_after_seconds(window, excess)
  for i = 1, #window, 2 do
    excess = excess - window[i + 1]
    if excess <= 0 then return math.ceil((returns_at(window[i]) - now) / 1000) end
  end
  return WINDOW_MS / 1000
end

local admissions = {}
for i, limit in ipairs(cmsgpack.unpack(ARGV[1])) do
  local window = load(KEYS[i])
  local used = used_in(window)
  if used < limit then
    push(window, math.floor(now / SLOT_MS))
    admissions[i] = {true, limit - used - 1, 0}
  else
    admissions[i] = {false, 0, retry_after_seconds(window, used + 1 - limit)}
  end
end
for key, window in pairs(windows) do
  redis.call('SET', key, cmsgpack.pack(window), 'PX', WINDOW_MS + 2 * SLOT_MS)
end
return cmsgpack.pack(admissions)
