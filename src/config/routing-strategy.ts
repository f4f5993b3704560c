import { nearest } from '#struct/edit-distance.ts'

/** Strategies of AIBrix (aibrix-and-others.md A2.3) that can be asked for by name. */
export const strategyNames = [
  'random',
  'least-request',
  'throughput',
  'least-latency',
  'least-busy-time',
  'least-gpu-cache',
  'least-kv-cache',
  'least-utilization',
  'prefix-cache',
  'prefix-cache-preble',
  'power-of-two',
  'session-affinity',
] as const

/** One of `strategyNames`. */
export type StrategyName = (typeof strategyNames)[number]

/** Names of the same table that this version does not have, and what they would need. */
const missingStrategies: Readonly<Record<string, string>> = {
  pd: 'prefill and decode on separate endpoints',
  slo: 'latency targets and a queue',
  'slo-pack-load': 'latency targets and a queue',
  'slo-least-load': 'latency targets and a queue',
  'slo-least-load-pulling': 'latency targets and a queue',
  'vtc-basic': 'fairness between users',
}

/** A strategy and how much it counts. */
export interface WeightedStrategy {
  readonly name: StrategyName
  /** 1..1,000,000. */
  readonly weight: number
}

/** Weighted strategies, or why a text is none. */
export type StrategyList = { readonly strategies: readonly WeightedStrategy[] } | { readonly fails: string }

const maxTextLength = 1024
const maxWeight = 1_000_000

/** Type of the scorer behind a strategy. */
export function strategyScorer(name: StrategyName): string {
  return `aibrix-${name}`
}

/**
 * Reads `name[:weight][,name[:weight]...]` (aibrix-and-others.md A2.2): whole weights from 0 to 1,000,000, 1 unless
 * given; a strategy of weight 0 is left out. Of a name that stands there twice the weights are added up.
 */
export function readStrategies(text: string): StrategyList {
  if (text.length > maxTextLength) return { fails: `has more than ${maxTextLength} characters` }
  const weights = new Map<StrategyName, number>()
  for (const part of text.split(',')) {
    const item = readItem(part.trim())
    if ('fails' in item) return item
    weights.set(item.name, (weights.get(item.name) ?? 0) + item.weight)
  }
  const strategies = Array.from(weights, ([name, weight]) => ({ name, weight })).filter(({ weight }) => weight > 0)
  return strategies.length === 0 ? { fails: 'gives every strategy the weight 0' } : { strategies }
}

function readItem(text: string): WeightedStrategy | { readonly fails: string } {
  const colon = text.indexOf(':')
  const name = colon < 0 ? text : text.slice(0, colon).trimEnd()
  const digits = colon < 0 ? '1' : text.slice(colon + 1).trim()
  if (name === '') return { fails: "has an empty item: write it as 'prefix-cache:2,least-request:1'" }
  const need = Object.hasOwn(missingStrategies, name) ? missingStrategies[name] : undefined
  if (need !== undefined) return { fails: `names '${name}', which this version does not have: it needs ${need}` }
  if (!isStrategy(name)) {
    const near = nearest(name, strategyNames)
    const advice = near === undefined ? `known are ${strategyNames.join(', ')}` : `did you mean '${near}'?`
    return { fails: `names '${name.slice(0, 63)}', which is no strategy: ${advice}` }
  }
  if (!/^\d{1,7}$/.test(digits) || Number(digits) > maxWeight) {
    return { fails: `gives '${name}' a weight that is not a whole number from 0 to ${maxWeight}` }
  }
  return { name, weight: Number(digits) }
}

/** Whether a text is the name of a strategy. */
function isStrategy(name: string): name is StrategyName {
  return (strategyNames as readonly string[]).includes(name)
}
