import { z } from 'zod'
import { definePlugin, type PluginDefinition } from '#contracts/plugin.ts'
import type { Candidates, Listener, PluginPorts, ScheduleRequest, Scorer } from '#contracts/schedule.ts'
import { normalise, type Polarity } from './normalise.ts'

/** The signal of a strategy. */
export interface Signal extends Listener {
  /** Writes a raw value to `out[i]` for each candidate; NaN where there is none. */
  read(request: ScheduleRequest, candidates: Candidates, out: Float64Array): void
}

/** What a strategy is made from. */
export interface StrategyPlan {
  /** Name in lists of strategies; the plug-in's type has `aibrix-` before it. */
  readonly name: string
  readonly summary: string
  readonly reads: PluginDefinition['reads']
  readonly polarity: Polarity
  signal(ports: PluginPorts): Signal
}

/** Raw value of least-request: requests of this gateway in flight. */
export function readInFlight({ slots, count, loads }: Candidates, out: Float64Array): void {
  for (let i = 0; i < count; i++) out[i] = loads.inFlight[slots[i]!]!
}

/**
 * A strategy of AIBrix as a scorer (aibrix-and-others.md A2.2): its signal, normalised over the candidates. When no
 * candidate has the signal the scores are those of least-request, and the scorer says so: AIBrix picks at random then.
 */
export function defineStrategy({ name, summary, reads, polarity, signal }: StrategyPlan): PluginDefinition {
  return definePlugin({
    point: 'scorer',
    type: `aibrix-${name}`,
    stability: 'beta',
    origin: 'aibrix',
    summary,
    reads,
    parameters: z.strictObject({}),
    create: (_parameters, ports) => strategyScorer(signal(ports), polarity),
  })
}

/** The scorer of a signal. */
export function strategyScorer(signal: Signal, polarity: Polarity): Scorer {
  const state = { fellBack: false }
  const scorer: Scorer = {
    score(request, candidates, out) {
      signal.read(request, candidates, out)
      state.fellBack = !normalise(out, candidates.count, polarity)
      if (!state.fellBack) return
      readInFlight(candidates, out)
      normalise(out, candidates.count, 'least')
    },
    fellBack: () => state.fellBack,
  }
  return signal.placed === undefined ? scorer : { ...scorer, placed: signal.placed.bind(signal) }
}
