-- Requests per minute and account: tokens come back 60 s after the end of the second they were
-- taken in, so no rolling minute sees more than the limit.
--
-- KEYS are accounts, one per request, repeated as they come. ARGV[1] is msgpack: a limit for each.
-- ARGV[2] is msgpack, what was not used of lots: {place of the key, slot, count} for each.
-- The answer is msgpack, two lists: {allowed, remaining, seconds until the next is allowed} for each
-- request, and {place of the key, slot, count} for each lot.
--
-- A lot is tokens taken in advance, to be used within LOT_MS, where the limit is far away. It is
-- booked in the second in which it ends, so that its last token comes back no earlier than others.

local SLOT_MS = 1000
local WINDOW_MS = 60000
local LOT_MS = 8000
local LOT_ROOM = 1000
local LOT_SHARE = 20
local LOT_COUNT_MAX = 250

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
local function push(window, slot, count)
  local size = #window
  if size > 0 and window[size - 1] >= slot then
    window[size] = window[size] + count
  else
    window[size + 1], window[size + 2] = slot, count
  end
end

local function give_back(window, slot, count)
  for i = 1, #window, 2 do
    if window[i] == slot then window[i + 1] = math.max(0, window[i + 1] - count) end
  end
end

local function retry_after_seconds(window, excess)
  for i = 1, #window, 2 do
    excess = excess - window[i + 1]
    if excess <= 0 then return math.ceil((returns_at(window[i]) - now) / 1000) end
  end
  return WINDOW_MS / 1000
end

for _, lot in ipairs(cmsgpack.unpack(ARGV[2])) do
  give_back(load(KEYS[lot[1]]), lot[2], lot[3])
end
local admissions = {}
local rooms = {} -- by key: the place of its last request, and what that left
for i, limit in ipairs(cmsgpack.unpack(ARGV[1])) do
  local window = load(KEYS[i])
  local used = used_in(window)
  if used < limit then
    push(window, math.floor(now / SLOT_MS), 1)
    admissions[i] = {true, limit - used - 1, 0}
    rooms[KEYS[i]] = {i, limit - used - 1}
  else
    admissions[i] = {false, 0, retry_after_seconds(window, used + 1 - limit)}
  end
end
local lots = {}
for key, room in pairs(rooms) do
  if room[2] >= LOT_ROOM then
    local window = windows[key]
    local count = math.min(math.floor(room[2] / LOT_SHARE), LOT_COUNT_MAX)
    push(window, math.floor((now + LOT_MS) / SLOT_MS), count)
    lots[#lots + 1] = {room[1], window[#window - 1], count}
  end
end
for key, window in pairs(windows) do
  redis.call('SET', key, cmsgpack.pack(window), 'PX', WINDOW_MS + LOT_MS)
end
return cmsgpack.pack({admissions, lots})
