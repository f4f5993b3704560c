import { adversarialWorkloads } from './workload/adversarial-table.ts'
import { agents } from './workload/agents.ts'
import { type Chat, chat } from './workload/chat.ts'
import type { LengthDraw } from './workload/draws.ts'
import { fanOut } from './workload/fan-out.ts'
import { fleetWorkloads } from './workload/fleet-table.ts'
import { incidentWorkloads } from './workload/incident-table.ts'
import { sustainedLadder } from './workload/ladder-column.ts'
import { answer, defaultFleet, shortQuestion, skewed } from './workload/shapes.ts'
import { type SharedPrefixes, sharedPrefixes } from './workload/shared-prefixes.ts'
import { replay } from './workload/trace.ts'
import { parseTrace } from './workload/trace-file.ts'
import type { Workload, WorkloadDefinition, WorkloadSetup } from './workload/workload.ts'

const none: LengthDraw = { mean: 0, spread: 0, least: 0, most: 0 }

const noReuse: SharedPrefixes = {
  prefixes: 1,
  exponent: 1,
  prefixTokens: none,
  questionTokens: { mean: 1_155, spread: 1, least: 16, most: 14_050 },
  outputTokens: { mean: 211, spread: 1, least: 4, most: 1_000 },
}

const conversations: Chat = {
  systemPrompts: 4,
  systemTokens: 1_000,
  documentTokens: { mean: 2_500, spread: 0.8, least: 100, most: 20_000 },
  questionTokens: shortQuestion,
  outputTokens: answer,
  turns: 6,
  thinkMs: 15_000,
}

/** Four small engines, for traces of a few requests per second. */
const smallFleet = { preset: 'llama-8b-a100-40gb', engines: 4 } as const

function replayFile(file: string, setup: WorkloadSetup): Workload {
  return replay(parseTrace(file, setup.readTrace(file)), setup)
}

/** Every workload of the laboratory. The reference gives what its column says; lengths it leaves open are chosen here. */
export const workloads: readonly WorkloadDefinition[] = [
  {
    ...defaultFleet,
    name: 'ladder',
    code: 'W1',
    summary:
      '150 prefixes of 6,000 tokens with 5 questions each, sustained: does the KV cache of the fleet count as one?',
    unit: 'requests/s',
    load: 18,
    create: sustainedLadder,
  },
  {
    ...defaultFleet,
    name: 'zipf',
    code: 'W2',
    summary: '400 prefixes drawn by Zipf 1.1: skew',
    unit: 'requests/s',
    load: 45,
    create: (setup) => sharedPrefixes(skewed, setup),
  },
  {
    ...defaultFleet,
    name: 'hot',
    code: 'W3',
    summary: 'the same with Zipf 1.8: half of the requests share one prefix',
    unit: 'requests/s',
    load: 60,
    create: (setup) => sharedPrefixes({ ...skewed, exponent: 1.8 }, setup),
  },
  {
    ...defaultFleet,
    name: 'chat',
    code: 'W4',
    summary: 'conversations of 6 turns with 15 s between them, 4 system prompts: sessions',
    unit: 'conversations/s',
    load: 9,
    create: (setup) => chat(conversations, setup),
  },
  {
    ...defaultFleet,
    name: 'no-reuse',
    code: 'W5',
    summary: 'prompts that share nothing: affinity must not hurt',
    unit: 'requests/s',
    load: 88,
    create: (setup) => sharedPrefixes(noReuse, setup),
  },
  {
    ...defaultFleet,
    name: 'fan-out',
    code: 'W6',
    summary: 'conversations, and every 20 s 64 requests at once on a new prefix: cold bursts',
    unit: 'conversations/s',
    load: 5,
    create: (setup) =>
      fanOut(
        {
          chat: conversations,
          everyMs: 20_000,
          requests: 64,
          withinMs: 200,
          leastPrefixTokens: 6_000,
          mostPrefixTokens: 12_000,
          questionTokens: shortQuestion,
          outputTokens: answer,
        },
        setup,
      ),
  },
  {
    name: 'mooncake',
    code: 'W7',
    summary: 'a recorded conversation service, faster: long tails, and one block that all prompts begin with',
    unit: 'times as fast',
    load: 3,
    preset: 'llama-70b-8xh100',
    engines: 8,
    recording: { lengthMs: 600_000, isSame: true },
    create: (setup) => replayFile('mooncake-conversation-600s.jsonl', setup),
  },
  {
    ...defaultFleet,
    name: 'agents',
    code: 'W8',
    summary: 'agents of 20 to 100 turns with tools of 0.1 to 60 s between them, and helpers: gaps and growing contexts',
    unit: 'agents at a time',
    load: 96,
    create: (setup) =>
      agents(
        {
          kinds: 3,
          systemTokens: 4_000,
          taskTokens: { mean: 800, spread: 0.8, least: 50, most: 8_000 },
          toolTokens: { mean: 500, spread: 1, least: 20, most: 8_000 },
          outputTokens: { mean: 150, spread: 0.8, least: 8, most: 1_000 },
          leastTurns: 20,
          mostTurns: 100,
          leastGapMs: 100,
          mostGapMs: 60_000,
          mostContextTokens: 100_000,
          helperChance: 0.05,
          helpers: 3,
          helperTurns: 4,
          startMs: 20_000,
        },
        setup,
      ),
  },
  {
    ...smallFleet,
    name: 'azure-conversation',
    code: 'trace',
    summary: 'a recorded conversation service, faster: real lengths and arrivals, nothing shared',
    unit: 'times as fast',
    load: 4,
    recording: { lengthMs: 900_000, isSame: true },
    create: (setup) => replayFile('azure-2023-conv-900s.csv', setup),
  },
  {
    ...smallFleet,
    engines: 8,
    name: 'azure-code',
    code: 'trace',
    summary: 'a recorded code completion service, faster: long prompts, short answers, bursts of ten times the mean',
    unit: 'times as fast',
    load: 2,
    recording: { lengthMs: 900_000, isSame: true },
    create: (setup) => replayFile('azure-2023-code-900s.csv', setup),
  },
  ...adversarialWorkloads,
  ...incidentWorkloads,
  ...fleetWorkloads,
]
