"""The Lua functions that write the log: each carries out a whole step, or none of it.

The writer gives every batch a number and says after which entry it goes. So a batch that is sent again, because its
answer was lost, changes nothing; a writer whose term is over is refused; and a Redis that has lost entries is noticed.

A Redis that is not the one which took the last batch, because it was restarted or is a replica that was promoted, may
lack entries that somebody has read. The writer that sent them knows whether it does. A later one does not.
"""

FENCED = "FENCED"
OTHER_EPOCH = "OTHEREPOCH"
OUT_OF_ORDER = "OUTOFORDER"

FIELDS = 7
"""Arguments per record: kind, count, topic, name, payload, retained key, ends."""

BEGIN = """
local meta = redis.call('HMGET', KEYS[2], 'epoch', 'term', 'last', 'sub', 'server')
local server = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local term = tonumber(ARGV[1])
if meta[2] and tonumber(meta[2]) > term then
    return redis.error_reply('FENCED another process has the term ' .. meta[2])
end
local retained = redis.call('HGETALL', KEYS[3])
if not meta[1] or not meta[3] or meta[5] ~= server or ARGV[3] == '1' then
    if meta[1] then
        redis.call('DEL', ARGV[4] .. meta[1])
    end
    redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])
    redis.call('XADD', KEYS[1], 'MAXLEN', 16, '*', 'epoch', ARGV[2])
    meta = {ARGV[2], ARGV[1], '0', '0'}
end
redis.call('HSET', KEYS[2], 'epoch', meta[1], 'term', ARGV[1], 'last', meta[3], 'sub', meta[4], 'batch', 0,
    'begun', ARGV[2], 'server', server)
return {meta[1], tonumber(meta[3]), tonumber(meta[4]), retained}
"""
"""Begin a term. Keys: epochs, meta, retained, snapshot. Arguments: term, new epoch, whether to begin that epoch, what
the keys of streams begin with. The name of the new epoch also tells this beginning from others, used or not.

Returns the epoch, the number and sub-number of the last entry, and the entries that were retained until now. The log
goes on in its epoch if it is there, on the server that took its last batch.
"""

PUBLISH = """
local meta = redis.call('HMGET', KEYS[2], 'epoch', 'term', 'last', 'sub', 'batch', 'begun')
if meta[1] ~= ARGV[1] then
    return redis.error_reply('OTHEREPOCH the epoch is ' .. tostring(meta[1]))
end
if tonumber(meta[2]) > tonumber(ARGV[2]) then
    return redis.error_reply('FENCED another process has the term ' .. meta[2])
end
if meta[6] ~= ARGV[7] then
    return redis.error_reply('OTHEREPOCH the term has not begun here')
end
if tonumber(meta[5]) >= tonumber(ARGV[3]) then
    return redis.call('EXISTS', KEYS[4])
end
if tonumber(meta[3]) ~= tonumber(ARGV[4]) then
    return redis.error_reply('OUTOFORDER the last entry is ' .. meta[3])
end
local last, sub = tonumber(meta[3]), tonumber(meta[4])
local first_dropped = 8 + 7 * tonumber(ARGV[6])
for at = 8, first_dropped - 1, 7 do
    local count = tonumber(ARGV[at + 1])
    if count > 0 then
        last, sub = last + count, 0
    else
        sub = sub + 1
    end
    redis.call('XADD', KEYS[1], string.format('%.0f-%.0f', last, sub), 'k', ARGV[at], 'n', ARGV[at + 1], 't',
        ARGV[at + 2], 'e', ARGV[at + 3], 'p', ARGV[at + 4], 'r', ARGV[at + 5], 'x', ARGV[at + 6])
    if ARGV[at + 5] ~= '' then
        redis.call('HSET', KEYS[3], ARGV[at + 5], string.format('%.0f', last) .. '|' .. ARGV[at + 2] .. '|'
            .. ARGV[at + 3] .. '|' .. ARGV[at + 6] .. '|' .. ARGV[at + 4])
    end
end
for at = first_dropped, #ARGV do
    redis.call('HDEL', KEYS[3], ARGV[at])
end
redis.call('HSET', KEYS[2], 'last', string.format('%.0f', last), 'sub', string.format('%.0f', sub), 'batch', ARGV[3],
    'server', string.match(redis.call('INFO', 'server'), 'run_id:(%w+)'))
if ARGV[5] ~= '' then
    redis.call('XTRIM', KEYS[1], 'MINID', '~', ARGV[5])
end
return redis.call('EXISTS', KEYS[4])
"""
"""Append a batch. Keys: stream, meta, retained, snapshot-wanted. Arguments: epoch, term, number of the batch, number of
the entry it follows, id before which the stream may be trimmed (or empty), number of records, what BEGIN was given as
the new epoch, FIELDS for each record, retained keys to drop. Returns whether somebody waits for a snapshot.
"""

ATTACH = """
local meta = redis.call('HMGET', KEYS[2], 'epoch', 'last', 'sub')
local first = redis.call('XRANGE', ARGV[1] .. (meta[1] or ''), '-', '+', 'COUNT', 1)
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
return {meta[1], meta[2], meta[3], first[1] and first[1][1] or false, newest[1] and newest[1][1] or '0-0',
    redis.call('HGETALL', KEYS[3])}
"""
"""Read where the log is. Keys: epochs, meta, retained. Argument: what the keys of streams begin with.

Returns epoch, last number, its sub-number, the id of the oldest entry, the id of the epoch among the epochs, and the
retained entries.
"""
