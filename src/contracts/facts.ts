import type { Facts } from './schedule.ts'

/** Facts about no request, with as many rows as the endpoint table has. */
export function createFacts(rows: number): Facts {
  return {
    promptTokens: 1,
    cachedTokens: new Float64Array(rows),
    inUseTokens: new Float64Array(rows),
    missHolders: new Float64Array(rows),
    missUses: new Float64Array(rows),
    missHash: 0,
    matchedBlocks: new Float64Array(rows),
    totalBlocks: 0,
    blockTokens: 0,
    inFlightTokens: new Float64Array(rows),
    requestTokens: new Float64Array(rows),
  }
}
