import type { LoadColumns } from '#contracts/load.ts'
import type { PluginDefinition } from '#contracts/plugin.ts'
import { defineStrategy, readInFlight, type Signal } from './strategy.ts'

// Formulas: aibrix-and-others.md A2.3.

/** A signal that is a column of the loads. */
function column(name: keyof Pick<LoadColumns, 'kvUse'>): () => Signal {
  return () => ({
    read(_request, { slots, count, loads }, out) {
      for (let i = 0; i < count; i++) out[i] = loads[name][slots[i]!]!
    },
  })
}

/** A signal that no engine of ours reports. */
const unknown = (): Signal => ({
  read: (_request, { count }, out) => {
    out.fill(Number.NaN, 0, count)
  },
})

/** Any endpoint, all with the same chance. */
export const aibrixRandom = defineStrategy({
  name: 'random',
  summary: 'AIBrix strategy `random`: a random score.',
  reads: [],
  polarity: 'most',
  signal: ({ rng }) => ({
    read(_request, { count }, out) {
      for (let i = 0; i < count; i++) out[i] = rng()
    },
  }),
})

/** Fewest requests of this gateway. */
export const aibrixLeastRequest = defineStrategy({
  name: 'least-request',
  summary: 'AIBrix strategy `least-request`: fewest requests of this gateway in flight.',
  reads: ['inFlight'],
  polarity: 'least',
  signal: () => ({ read: (_request, candidates, out) => readInFlight(candidates, out) }),
})

/** Busy time of the accelerator: no engine reports it, in AIBrix neither. */
export const aibrixLeastBusyTime = defineStrategy({
  name: 'least-busy-time',
  summary: 'AIBrix strategy `least-busy-time`: no engine reports its signal, so that it is always `least-request`.',
  reads: ['inFlight'],
  polarity: 'least',
  signal: unknown,
})

/** KV cache of the accelerator, under whichever name the engine reports it. */
export const aibrixLeastGpuCache = defineStrategy({
  name: 'least-gpu-cache',
  summary: 'AIBrix strategy `least-gpu-cache`: least KV cache in use, under whichever name the engine reports it.',
  reads: ['kvUse', 'inFlight'],
  polarity: 'least',
  signal: column('kvUse'),
})

/** The same: engines of today report no cache of the processor, which AIBrix adds and without which it picks at random. */
export const aibrixLeastKvCache = defineStrategy({
  name: 'least-kv-cache',
  summary:
    'AIBrix strategy `least-kv-cache`: least KV cache in use; that of the processor, which engines no longer report, counts 0.',
  reads: ['kvUse', 'inFlight'],
  polarity: 'least',
  signal: column('kvUse'),
})

/** Utilisation as xLLM alone reports it, which is no engine of ours. */
export const aibrixLeastUtilization = defineStrategy({
  name: 'least-utilization',
  summary: 'AIBrix strategy `least-utilization`: no engine here reports its signal, so that it is `least-request`.',
  reads: ['inFlight'],
  polarity: 'least',
  signal: unknown,
})

/** The one with fewer requests of two drawn at random; the count is this process's own and outlives no request. */
export const aibrixPowerOfTwo = defineStrategy({
  name: 'power-of-two',
  summary: 'AIBrix strategy `power-of-two`: of two endpoints drawn at random the one with fewer requests in flight.',
  reads: ['inFlight'],
  polarity: 'least',
  signal: ({ rng }) => ({
    read(_request, { slots, count, loads }, out) {
      if (count === 0) return
      const first = Math.floor(rng() * count)
      const second = count === 1 ? first : (first + 1 + Math.floor(rng() * (count - 1))) % count
      out.fill(Number.NaN, 0, count)
      out[first] = loads.inFlight[slots[first]!]!
      out[second] = loads.inFlight[slots[second]!]!
    },
  }),
})

/** Strategies that need nothing but the loads. */
export const simpleStrategies: readonly PluginDefinition[] = [
  aibrixRandom,
  aibrixLeastRequest,
  aibrixLeastBusyTime,
  aibrixLeastGpuCache,
  aibrixLeastKvCache,
  aibrixLeastUtilization,
  aibrixPowerOfTwo,
]
