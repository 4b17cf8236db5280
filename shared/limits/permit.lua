-- Limits of segments per hour, day, month and second, for many scopes at once (law 6).
--
-- KEYS[1] is the epoch, KEYS[2..] one key per scope. ARGV: operation, epoch, arguments (msgpack).
-- Every answer is msgpack: {the epoch Redis holds or 0, result}; when the epochs differ, no result but
-- the number of the epoch that is written down, whoever wrote it.
--
-- A scope is one string, and here the list of what is packed in it: its epoch, the time until which its
-- gate is shut, per window the sum of its tokens out and a queue of (slot, count) pairs, oldest first,
-- and the window that shut the gate (0: none; a process of an earlier release writes none). Three
-- windows are always counted, whatever is limited today, so a limit that is set tomorrow knows the past;
-- the second, if it is, stands behind all else. Windows are numbered from 1.
--
-- Beside the epoch stands whose memory this is: the process that holds it, and the latest time by
-- which it has changed. A Redis that was started again from a snapshot is another process, and one
-- whose clock has gone back may have let tokens return by a time that has not come yet: the epoch is
-- then told as 0, as after a wipe.

local AGE_LIMIT_MS = 5000 -- A permit may be used this long after it was taken.
local CLOCKS_APART_MS = 2000 -- No claim is committed when Redis and PostgreSQL differ by more.
local CLOCK_BACK_MS = 1000 -- Redis' clock may go back so far unnoticed.
-- Tokens stay out so much longer than a window: the first departures of it may be so late, and the
-- next ones so early, by a clock that none of the three can fool.
local LATE_MS = AGE_LIMIT_MS + 2 * CLOCKS_APART_MS + CLOCK_BACK_MS
local GATE_MARGIN_MS = 2000
local EPOCH, GATE_UNTIL_MS, GATE_WINDOW = 1, 2, 9 -- Where they are in the list.
-- `used` and `queue`: where theirs are.
local WINDOWS = {
  {used = 3, queue = 4, pair = '>I4I4', pair_bytes = 8,
   slot_ms = 60000, length_ms = 3600000, late_ms = LATE_MS},
  {used = 5, queue = 6, pair = '>I4I4', pair_bytes = 8,
   slot_ms = 900000, length_ms = 86400000, late_ms = LATE_MS},
  {used = 7, queue = 8, pair = '>I4I4', pair_bytes = 8,
   slot_ms = 21600000, length_ms = 2678400000, late_ms = LATE_MS},
  -- A second is one of permits: lengthened by how late they may be used it would last eleven.
  {used = 10, queue = 11, pair = '>I6I4', pair_bytes = 10,
   slot_ms = 100, length_ms = 1000, late_ms = 0},
}
local MONTH = WINDOWS[3]
local SECOND = 4 -- Counted only where it is limited, so that other scopes are no larger for it.
-- A key outlives its last token by an hour: an expired key can only mean that nothing is out. It is
-- counted from the first token of a month's slot, for those after it return with it.
local KEY_LIFE_MS = 2678400000 + 21600000 + LATE_MS + 3600000

local function clock_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local now = clock_ms()
local epoch = tonumber(ARGV[2])
local process = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local memory_key = KEYS[1] .. ':memory'
local newest_ms = now -- The latest time by which the memory has changed.
local scopes = {} -- by key: what was read in this call, false for a scope that must be filled
local changed = {}

local function returns_at(window, slot)
  return (slot + 1) * window.slot_ms + window.length_ms + window.late_ms
end

local function drop_returned(scope, window)
  local queue, position = scope[window.queue], 1
  while position <= #queue do
    local slot, count = struct.unpack(window.pair, queue, position)
    if returns_at(window, slot) > now then break end
    scope[window.used] = scope[window.used] - count
    position = position + window.pair_bytes
  end
  if position > 1 then scope[window.queue] = queue:sub(position) end
end

-- Slots that were given back whole stand in the queue with nothing in them.
local function first_return(scope, window)
  local queue = scope[window.queue]
  for position = 1, #queue, window.pair_bytes do
    local slot, count = struct.unpack(window.pair, queue, position)
    if count > 0 then return returns_at(window, slot) end
  end
  return 0
end

-- A slot older than the newest one (the clock went back) joins the newest: it is held longer.
local function push(scope, window, slot, count)
  local kept, is_new = scope[window.queue], true
  scope[window.used] = scope[window.used] + count
  if #kept > 0 then
    local newest, held = struct.unpack(window.pair, kept, #kept - window.pair_bytes + 1)
    if newest >= slot then
      kept, slot, count, is_new = kept:sub(1, -window.pair_bytes - 1), newest, held + count, false
    end
  end
  scope[window.queue] = kept .. struct.pack(window.pair, slot, count)
  if window == MONTH and is_new then scope.lives_anew = true end
end

local function window_count(scope)
  return scope[WINDOWS[SECOND].used] and SECOND or SECOND - 1
end

local function load(key)
  if scopes[key] ~= nil then return scopes[key] end
  scopes[key] = false
  local stored = redis.call('GET', key)
  if stored then
    local scope = {cmsgpack.unpack(stored)}
    if scope[EPOCH] == epoch then
      scope[GATE_WINDOW] = scope[GATE_WINDOW] or 0
      for i = 1, window_count(scope) do drop_returned(scope, WINDOWS[i]) end
      scopes[key] = scope
    end
  end
  return scopes[key]
end

-- Whatever was taken in this minute and the one before may have been taken within the second.
local function count_seconds(scope)
  if window_count(scope) == SECOND then return end
  local hour, second = WINDOWS[1], WINDOWS[SECOND]
  scope[second.used], scope[second.queue] = 0, ''
  local minutes = scope[hour.queue]
  if #minutes > 0 then
    local newest, count = struct.unpack(hour.pair, minutes, #minutes - hour.pair_bytes + 1)
    if newest >= math.floor(now / hour.slot_ms) - 1 then
      push(scope, second, math.floor(now / second.slot_ms), count)
    end
  end
end

local function is_ours(memory)
  if not memory then return false end
  local holder, changed_ms = cmsgpack.unpack(memory)
  newest_ms = math.max(now, changed_ms)
  return holder == process and newest_ms - now <= CLOCK_BACK_MS
end

local function save_memory(time_ms)
  redis.call('SET', memory_key, cmsgpack.pack(process, time_ms))
end

local function save_changed()
  if next(changed) then save_memory(newest_ms) end
  for key in pairs(changed) do
    local scope = scopes[key]
    local packed = cmsgpack.pack(unpack(scope))
    if scope.lives_anew then
      redis.call('SET', key, packed, 'PX', KEY_LIFE_MS)
    else
      redis.call('SET', key, packed, 'KEEPTTL')
    end
  end
end

-- The first time at which `segments` fit in every window of the scope if nobody else takes any, and
-- the window that is last.
local function ready_at(scope, limits, segments)
  local latest, by = now, 0
  for i = 1, window_count(scope) do
    local window = WINDOWS[i]
    local excess = scope[window.used] + segments - (limits[i] or math.huge)
    local position = 1
    while excess > 0 do
      local slot, count = struct.unpack(window.pair, scope[window.queue], position)
      excess = excess - count
      if excess <= 0 and returns_at(window, slot) > latest then
        latest, by = returns_at(window, slot), i
      end
      position = position + window.pair_bytes
    end
  end
  return latest, by
end

-- What speaks against `segments` from these scopes whatever the time; nil when nothing does.
local function objection(indexes, limits, segments)
  local unknown = {}
  for _, index in ipairs(indexes) do
    if not load(KEYS[index + 1]) then table.insert(unknown, index) end
  end
  if #unknown > 0 then return {'unknown', 0, 0, unknown} end
  for _, index in ipairs(indexes) do
    if limits[index][SECOND] then count_seconds(load(KEYS[index + 1])) end
    for window, limit in ipairs(limits[index]) do
      if segments > limit then return {'never', 0, 0, {index}, window} end
    end
  end
end

-- When the last of the scopes is ready, which one that is, and its window.
local function last_ready(indexes, limits, segments)
  local latest, by, by_window = now, indexes[1], 0
  for _, index in ipairs(indexes) do
    local ready, window = ready_at(load(KEYS[index + 1]), limits[index], segments)
    if ready > latest then latest, by, by_window = ready, index, window end
  end
  return latest, by, by_window
end

local function take_one(indexes, limits, segments, bypass)
  local refusal = objection(indexes, limits, segments)
  if refusal then return refusal end
  local line_key = KEYS[indexes[1] + 1]
  local line = load(line_key)
  if not bypass and line[GATE_UNTIL_MS] > now then
    return {'refused', line[GATE_UNTIL_MS] - GATE_MARGIN_MS, 0, {indexes[1]}, line[GATE_WINDOW]}
  end
  local ready, by, by_window = last_ready(indexes, limits, segments)
  if ready > now then
    local line_ready, line_window = ready_at(line, limits[indexes[1]], segments)
    if line_ready > now then
      line[GATE_UNTIL_MS], line[GATE_WINDOW] = line_ready + GATE_MARGIN_MS, line_window
      changed[line_key] = true
    end
    return {'refused', ready, 0, {by}, by_window}
  end
  for _, index in ipairs(indexes) do
    local key = KEYS[index + 1]
    local scope = load(key)
    for i = 1, window_count(scope) do
      push(scope, WINDOWS[i], math.floor(now / WINDOWS[i].slot_ms), segments)
    end
    changed[key] = true
  end
  return {'granted', now, segments, {}}
end

local function peek_one(indexes, limits, segments)
  local refusal = objection(indexes, limits, segments)
  if refusal then return refusal end
  local ready, by, by_window = last_ready(indexes, limits, segments)
  if ready > now then return {'refused', ready, 0, {by}, by_window} end
  local room = math.huge
  for _, index in ipairs(indexes) do
    local scope = load(KEYS[index + 1])
    for i, limit in ipairs(limits[index]) do room = math.min(room, limit - scope[WINDOWS[i].used]) end
  end
  return {'open', now, room, {}}
end

-- Tokens that joined a newer slot than their own, since the clock had gone back, are taken out of the
-- oldest that may hold them: what stays out then stays no shorter. Where their own slot is over they
-- may be back already.
local function give_back_one(key, segments, granted_at_ms)
  local scope = load(key)
  if not scope then return end
  for i = 1, window_count(scope) do
    local window = WINDOWS[i]
    local wanted = math.floor(granted_at_ms / window.slot_ms)
    local left = returns_at(window, wanted) > newest_ms and segments or 0
    local queue = scope[window.queue]
    for position = 1, #queue, window.pair_bytes do
      local slot, count = struct.unpack(window.pair, queue, position)
      local returned = slot >= wanted and math.min(count, left) or 0
      if returned > 0 then
        queue = queue:sub(1, position - 1) .. struct.pack(window.pair, slot, count - returned)
          .. queue:sub(position + window.pair_bytes)
        scope[window.used] = scope[window.used] - returned
        left = left - returned
      end
    end
    scope[window.queue] = queue
  end
  changed[key] = true
end

local operations = {}

function operations.take(limits, requests)
  local verdicts = {}
  for i, request in ipairs(requests) do
    verdicts[i] = take_one(request[1], limits, request[2], request[3])
  end
  return verdicts
end

function operations.peek(limits, requests)
  local verdicts = {}
  for i, request in ipairs(requests) do
    verdicts[i] = peek_one(request[1], limits, request[2])
  end
  return verdicts
end

-- Per scope and window how many tokens are out, and when the first of them return (0: none are out);
-- nothing for a scope that must be filled, and no second where none was ever limited.
function operations.look()
  local found = {}
  for i = 2, #KEYS do
    local scope, used = load(KEYS[i]), {}
    for number = 1, scope and window_count(scope) or 0 do
      local window = WINDOWS[number]
      used[number] = {scope[window.used], first_return(scope, window)}
    end
    found[i - 1] = used
  end
  return found
end

-- Who waits for the first of the scopes, the line, was told a time that no longer holds: until it is
-- looked at again, newcomers are told to come back at once.
function operations.give_back(segments, granted_at_ms)
  for i = 2, #KEYS do give_back_one(KEYS[i], segments, granted_at_ms) end
  local line = load(KEYS[2])
  if line then line[GATE_UNTIL_MS] = math.min(line[GATE_UNTIL_MS], now + GATE_MARGIN_MS) end
  return true
end

-- Shut each line's gate until the time given for it, and a margin, because of the window given; 0
-- opens it.
function operations.set_gates(times_ms, windows)
  for i, time_ms in ipairs(times_ms) do
    local scope = load(KEYS[i + 1])
    local until_ms = time_ms > now and time_ms + GATE_MARGIN_MS or 0
    if scope and scope[GATE_UNTIL_MS] ~= until_ms then
      scope[GATE_UNTIL_MS], scope[GATE_WINDOW] = until_ms, windows[i]
      changed[KEYS[i + 1]] = true
    end
  end
  return true
end

local function fill_one(key, usage)
  if load(key) then return 0 end
  local scope = {epoch, 0, 0, '', 0, '', 0, '', 0, lives_anew = true}
  for i = 1, SECOND - 1 do
    local window = WINDOWS[i]
    for _, minute in ipairs(usage) do
      local slot = math.floor(minute[1] / window.slot_ms)
      if returns_at(window, slot) > now then push(scope, window, slot, minute[2]) end
    end
  end
  scopes[key], changed[key] = scope, true
  return 1
end

-- `usages` holds for each scope {minute's start in ms, segments} pairs in order of time.
function operations.fill(usages)
  local filled_count = 0
  for i, usage in ipairs(usages) do
    filled_count = filled_count + fill_one(KEYS[i + 1], usage)
  end
  return filled_count
end

local stored = tonumber(redis.call('GET', KEYS[1]) or 0)
local held = is_ours(redis.call('GET', memory_key)) and stored or 0
if ARGV[1] == 'install' then
  if stored < epoch then
    redis.call('SET', KEYS[1], epoch)
    save_memory(now)
    held, stored = epoch, epoch
  end
  return cmsgpack.pack({held, true, stored})
end
if held ~= epoch then return cmsgpack.pack({held, false, stored}) end
local result = operations[ARGV[1]](unpack(cmsgpack.unpack(ARGV[3])))
save_changed()
return cmsgpack.pack({held, result})
