import type { Incident } from '#lab/incident.ts'
import { halfAsFast } from '#lab/workload/fleet-table.ts'
import { topOfLadder } from '#lab/workload/ladder-column.ts'
import type { RunWindow, WorkloadDefinition } from '#lab/workload/workload.ts'
import { workloads } from '#lab/workload-table.ts'

function found(name: string): WorkloadDefinition {
  const one = workloads.find((each) => each.name === name)
  if (one === undefined) throw new RangeError(`no workload is named '${name}'`)
  return one
}

const staleForMs = 5_000

/** All the time pages say for five seconds what they said at the beginning of these. */
function stalePages({ endMs }: RunWindow): readonly Incident[] {
  return Array.from({ length: Math.ceil(endMs / staleForMs) }, (_, i) => ({
    kind: 'freeze-pages',
    atMs: i * staleForMs,
    untilMs: (i + 1) * staleForMs,
  }))
}

/** The same as a workload of the laboratory but for what is said. */
function like(base: string, name: string, others: Partial<WorkloadDefinition>): WorkloadDefinition {
  return { ...found(base), ...others, name }
}

/** Workloads of the report that the laboratory does not list: other fleets, and pages that are old. */
export const acceptanceWorkloads: readonly WorkloadDefinition[] = [
  like('ladder', 'ladder-top', {
    summary: 'the stages of 40, 49 and 60 requests/s, each drained before the next',
    unit: 'times their rates',
    load: 1,
    create: topOfLadder,
  }),
  like('zipf', 'zipf-16', { summary: 'zipf on 16 engines', engines: 16, load: 112 }),
  like('zipf', 'zipf-8b', { summary: 'zipf on a model of 8B', preset: 'llama-8b-h100', load: 110 }),
  like('chat', 'chat-8b', { summary: 'chat on a model of 8B', preset: 'llama-8b-h100', load: 16 }),
  like('mooncake', 'mixed-mooncake', {
    code: 'W11',
    summary: 'mooncake, and every second engine is half as fast',
    engineOf: (settings, index) => (index % 2 === 0 ? settings : halfAsFast(settings)),
  }),
  like('zipf', 'zipf-stale', { summary: 'zipf with pages that are up to 5 s old', incidents: stalePages }),
  like('chat', 'chat-stale', { summary: 'chat with pages that are up to 5 s old', incidents: stalePages }),
  like('mooncake', 'mooncake-stale', { summary: 'mooncake with pages that are up to 5 s old', incidents: stalePages }),
]
