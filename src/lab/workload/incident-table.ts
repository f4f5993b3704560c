import type { Incident } from '#lab/incident.ts'
import { defaultFleet, skewed } from './shapes.ts'
import { sharedPrefixes } from './shared-prefixes.ts'
import type { RunWindow, WorkloadDefinition } from './workload.ts'

/** What all have in common: the prefixes of `zipf`, at a load that seven engines bear. */
const base = {
  ...defaultFleet,
  code: 'W10',
  unit: 'requests/s',
  load: 36,
  create: (setup) => sharedPrefixes(skewed, setup),
} as const satisfies Partial<WorkloadDefinition>

/** Incidents begin after a quarter of the measured time, and end, if they do, after so much of it. */
const beginPart = 0.25
const shortPart = 0.5
const longPart = 0.75

/** The time at which so much of the window is over. */
function at({ warmUpMs, endMs }: RunWindow, part: number): number {
  return warmUpMs + part * (endMs - warmUpMs)
}

function both(window: RunWindow, kind: 'freeze-pages' | 'drop-events'): readonly Incident[] {
  return [{ kind, atMs: at(window, beginPart), untilMs: at(window, longPart) }]
}

/** Faults of a fleet (routing-algorithms.md 8, W10). Engine 2 is nobody in particular. */
export const incidentWorkloads: readonly WorkloadDefinition[] = [
  {
    ...base,
    name: 'kill',
    summary: 'one of eight engines dies and stays away',
    incidents: (window) => [{ kind: 'kill', engine: 2, atMs: at(window, beginPart) }],
  },
  {
    ...base,
    name: 'hang',
    summary: 'one engine computes nothing and answers nothing for a quarter of the time',
    incidents: (window) => [{ kind: 'hang', engine: 2, atMs: at(window, beginPart), untilMs: at(window, shortPart) }],
  },
  {
    ...base,
    name: 'slow-engine',
    summary: 'one engine is three times as slow for half of the time',
    incidents: (window) => [
      { kind: 'pace', engine: 2, atMs: at(window, beginPart), factor: 3 },
      { kind: 'pace', engine: 2, atMs: at(window, longPart), factor: 1 },
    ],
  },
  {
    ...base,
    name: 'restart',
    summary: 'one engine dies and comes back with nothing cached',
    incidents: (window) => [
      { kind: 'kill', engine: 2, atMs: at(window, beginPart) },
      { kind: 'start', engine: 2, atMs: at(window, shortPart) },
    ],
  },
  {
    ...base,
    name: 'scale-up',
    summary: 'eight engines at their limit, then twelve',
    load: 62,
    engines: 12,
    absent: [8, 9, 10, 11],
    incidents: (window) =>
      [8, 9, 10, 11].map((engine) => ({ kind: 'start', engine, atMs: at(window, beginPart) }) as const),
  },
  {
    ...base,
    name: 'frozen-pages',
    summary: 'metrics pages say the same for half of the time',
    load: 45,
    incidents: (window) => both(window, 'freeze-pages'),
  },
  {
    ...base,
    name: 'lost-events',
    summary: 'KV events get lost for half of the time, for good: tries who reads them',
    load: 45,
    incidents: (window) => both(window, 'drop-events'),
  },
]
