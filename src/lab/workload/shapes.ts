import type { Tenant } from './adversarial.ts'
import type { LengthDraw } from './draws.ts'
import type { SharedPrefixes } from './shared-prefixes.ts'

/** Lengths and fleets that several workloads have in common. The reference leaves the lengths open; they are chosen. */

export const question: LengthDraw = { mean: 300, spread: 0.7, least: 16, most: 4_000 }
export const shortQuestion: LengthDraw = { mean: 120, spread: 0.7, least: 8, most: 2_000 }
export const answer: LengthDraw = { mean: 250, spread: 0.7, least: 8, most: 2_000 }
export const shortAnswer: LengthDraw = { mean: 100, spread: 0.7, least: 8, most: 1_000 }

export const skewed: SharedPrefixes = {
  prefixes: 400,
  exponent: 1.1,
  prefixTokens: { mean: 4_000, spread: 0.6, least: 500, most: 20_000 },
  questionTokens: question,
  outputTokens: answer,
}

/** Eight engines of Qwen3-32B on two H100 each. */
export const defaultFleet = { preset: 'qwen3-32b-2xh100', engines: 8 } as const

export const heavyTenant: Omit<Tenant, 'weight'> = {
  prefixes: 50,
  exponent: 1.1,
  prefixTokens: 4_000,
  questionTokens: { mean: 600, spread: 0.7, least: 32, most: 6_000 },
  outputTokens: answer,
}

export const lightTenant: Omit<Tenant, 'weight'> = {
  prefixes: 200,
  exponent: 1.1,
  prefixTokens: 1_000,
  questionTokens: shortQuestion,
  outputTokens: shortAnswer,
}
