import { createHash } from 'node:crypto';
import { AHEAD_S } from './shared.ts';

/**
 * Each runs alone in Redis: what it looks at cannot change before it writes.
 *
 * `lemma:memory` says from when on Redis remembers: `known_from`, in seconds of the node's clock, since that is the clock
 * which PoPs are held against; Redis's own may be wrong without harm. What was made before it may have been spent in a
 * memory that is gone. An emptied Redis lacks the key, which the very next request sees; another process (a restart from
 * an old file, a replica that took over) has another `run_id`, which each new connection sees.
 */
const KNOWN_FROM_NOW = `tonumber(ARGV[1]) + ${AHEAD_S + 1}`;

/** KEYS memory · ARGV now, run_id. Gives known_from. Later than any before it: counters carry it as their mark. */
const greet = `
local known = redis.call('HMGET', KEYS[1], 'known_from', 'run_id')
local from = tonumber(known[1])
if from and known[2] == ARGV[2] then return from end
from = math.max(${KNOWN_FROM_NOW}, (from or 0) + 1)
redis.call('HSET', KEYS[1], 'known_from', from, 'run_id', ARGV[2])
return from
`;

/**
 * KEYS memory, nonce, counter… · ARGV now, run_id, created ('' without a nonce), ms to keep the nonce, then of each counter
 * issued and ms to keep it. Gives {'taken', used…}, {'replayed'}, {'forgotten', known_from} or
 * {'uncounted', number of the counter, known_from}. It looks at everything before it writes anything.
 */
const take = `
local from = tonumber(redis.call('HGET', KEYS[1], 'known_from'))
if not from then
  from = ${KNOWN_FROM_NOW}
  redis.call('HSET', KEYS[1], 'known_from', from, 'run_id', ARGV[2])
end
local has_nonce = ARGV[3] ~= ''
if has_nonce and tonumber(ARGV[3]) < from then return {'forgotten', from} end
local answer = {'taken'}
for i = 3, #KEYS do
  local counter = redis.call('HMGET', KEYS[i], 'used', 'from')
  local used = 0
  if counter[1] and tonumber(counter[2]) == from then
    used = tonumber(counter[1])
  elseif tonumber(ARGV[2 * i - 1]) < from then
    return {'uncounted', i - 2, from}
  end
  answer[i - 1] = used + 1
end
if has_nonce and not redis.call('SET', KEYS[2], '', 'NX', 'PX', ARGV[4]) then return {'replayed'} end
for i = 3, #KEYS do
  redis.call('HSET', KEYS[i], 'used', answer[i - 1], 'from', from)
  redis.call('PEXPIRE', KEYS[i], ARGV[2 * i])
end
answer[#KEYS] = from
return answer
`;

/** KEYS counter… · ARGV known_from as it was when they were taken: another memory's counters are not touched. */
const giveBack = `
for i = 1, #KEYS do
  local counter = redis.call('HMGET', KEYS[i], 'used', 'from')
  if counter[1] and counter[2] == ARGV[1] and tonumber(counter[1]) > 0 then
    redis.call('HINCRBY', KEYS[i], 'used', -1)
  end
end
return 1
`;

/** KEYS memory, counter… · ARGV now, issued…. Gives used of each, -1 where it is not known as `take` has it. Writes nothing. */
const count = `
local from = tonumber(redis.call('HGET', KEYS[1], 'known_from')) or ${KNOWN_FROM_NOW}
local answer = {}
for i = 2, #KEYS do
  local counter = redis.call('HMGET', KEYS[i], 'used', 'from')
  local used = 0
  if counter[1] and tonumber(counter[2]) == from then
    used = tonumber(counter[1])
  elseif tonumber(ARGV[i]) < from then
    used = -1
  end
  answer[i - 1] = used
end
return answer
`;

export interface Script {
  readonly lua: string;
  /** By which Redis knows it. */
  readonly sha: string;
}

export const SCRIPTS = {
  greet: script(greet),
  take: script(take),
  giveBack: script(giveBack),
  count: script(count),
} as const;
export type ScriptName = keyof typeof SCRIPTS;

function script(lua: string): Script {
  return { lua, sha: createHash('sha1').update(lua).digest('hex') };
}
