import { agents } from './workload/agents.ts'
import { type Chat, chat } from './workload/chat.ts'
import type { LengthDraw } from './workload/draws.ts'
import { fanOut } from './workload/fan-out.ts'
import { sustainedLadder } from './workload/ladder-column.ts'
import { type SharedPrefixes, sharedPrefixes } from './workload/shared-prefixes.ts'
import { parseTrace, replay } from './workload/trace.ts'
import type { WorkloadDefinition } from './workload/workload.ts'

const question: LengthDraw = { mean: 300, spread: 0.7, least: 16, most: 4_000 }
const shortQuestion: LengthDraw = { mean: 120, spread: 0.7, least: 8, most: 2_000 }
const answer: LengthDraw = { mean: 250, spread: 0.7, least: 8, most: 2_000 }
const none: LengthDraw = { mean: 0, spread: 0, least: 0, most: 0 }

const skewed: SharedPrefixes = {
  prefixes: 400,
  exponent: 1.1,
  prefixTokens: { mean: 4_000, spread: 0.6, least: 500, most: 20_000 },
  questionTokens: question,
  outputTokens: answer,
}

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

const fleet = { preset: 'qwen3-32b-2xh100', engines: 8 } as const

/** Every workload of the laboratory. The reference gives what its column says; lengths it leaves open are chosen here. */
export const workloads: readonly WorkloadDefinition[] = [
  {
    ...fleet,
    name: 'ladder',
    code: 'W1',
    summary:
      '150 prefixes of 6,000 tokens with 5 questions each, sustained: does the KV cache of the fleet count as one?',
    unit: 'requests/s',
    load: 18,
    create: sustainedLadder,
  },
  {
    ...fleet,
    name: 'zipf',
    code: 'W2',
    summary: '400 prefixes drawn by Zipf 1.1: skew',
    unit: 'requests/s',
    load: 45,
    create: (setup) => sharedPrefixes(skewed, setup),
  },
  {
    ...fleet,
    name: 'hot',
    code: 'W3',
    summary: 'the same with Zipf 1.8: half of the requests share one prefix',
    unit: 'requests/s',
    load: 60,
    create: (setup) => sharedPrefixes({ ...skewed, exponent: 1.8 }, setup),
  },
  {
    ...fleet,
    name: 'chat',
    code: 'W4',
    summary: 'conversations of 6 turns with 15 s between them, 4 system prompts: sessions',
    unit: 'conversations/s',
    load: 9,
    create: (setup) => chat(conversations, setup),
  },
  {
    ...fleet,
    name: 'no-reuse',
    code: 'W5',
    summary: 'prompts that share nothing: affinity must not hurt',
    unit: 'requests/s',
    load: 88,
    create: (setup) => sharedPrefixes(noReuse, setup),
  },
  {
    ...fleet,
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
    create: (setup) => replay(parseTrace(setup.readTrace('mooncake-conversation-600s.jsonl')), setup),
  },
  {
    ...fleet,
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
]
