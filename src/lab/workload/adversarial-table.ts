import { alternating, giants, identical, rotation, tenants, uniqueStarts } from './adversarial.ts'
import { answer, defaultFleet, heavyTenant, lightTenant, question, shortAnswer, shortQuestion } from './shapes.ts'
import type { WorkloadDefinition } from './workload.ts'

const unit = 'requests/s'

const turnMs = 10_000

/** Workloads that attack one weakness each (routing-algorithms.md 4 and 8, W9), and tenants of different size. */
export const adversarialWorkloads: readonly WorkloadDefinition[] = [
  {
    ...defaultFleet,
    name: 'rotation',
    code: 'W9a',
    summary: '430 prefixes of 6,000 tokens in turn, 5 % more than all KV caches hold: the worst case of LRU',
    unit,
    load: 16,
    create: (setup) =>
      rotation({ prefixes: 430, prefixTokens: 6_000, questionTokens: shortQuestion, outputTokens: shortAnswer }, setup),
  },
  {
    ...defaultFleet,
    name: 'bursts',
    code: 'W9b',
    summary: 'a tenant with long prompts and one with short ones, in turns of 10 s with 90 % of the requests each',
    unit,
    load: 110,
    create: (setup) =>
      tenants(
        [
          { ...heavyTenant, weight: alternating(turnMs, 0) },
          { ...lightTenant, weight: alternating(turnMs, 1) },
        ],
        setup,
      ),
  },
  {
    ...defaultFleet,
    name: 'giants',
    code: 'W9c',
    summary: 'one prompt of 100,000 tokens among 200 of 200 tokens: who stands behind a giant',
    unit,
    load: 40,
    create: (setup) =>
      giants(
        {
          chance: 1 / 200,
          giantTokens: 100_000,
          smallTokens: { mean: 200, spread: 0.5, least: 16, most: 2_000 },
          outputTokens: answer,
        },
        setup,
      ),
  },
  {
    ...defaultFleet,
    name: 'identical',
    code: 'W9d',
    summary: 'one prompt of 4,000 tokens all the time, cached everywhere soon: affinity must not stay with one engine',
    unit,
    load: 90,
    create: (setup) => identical({ promptTokens: 4_000, outputTokens: answer }, setup),
  },
  {
    ...defaultFleet,
    name: 'unique-start',
    code: 'W9e',
    summary: 'shared texts of 4,000 tokens behind a first block of their own (a time of day): nothing can be shared',
    unit,
    load: 20,
    create: (setup) =>
      uniqueStarts(
        {
          startTokens: 16,
          prefixes: 400,
          exponent: 1.1,
          prefixTokens: 4_000,
          questionTokens: question,
          outputTokens: answer,
        },
        setup,
      ),
  },
  {
    ...defaultFleet,
    name: 'tenants',
    code: 'tenants',
    summary: 'eight tenants, each with half as many requests as the one before, long prompts and short ones in turn',
    unit,
    load: 90,
    create: (setup) =>
      tenants(
        Array.from({ length: 8 }, (_, i) => ({
          ...(i % 2 === 0 ? heavyTenant : lightTenant),
          weight: () => 2 ** -i,
        })),
        setup,
      ),
  },
]
