import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'
import type { ScheduleRequest } from '#contracts/schedule.ts'
import type { ArmDefinition } from '#lab/arm.ts'
import { runArm } from '#lab/run.ts'
import type { WorkloadDefinition } from '#lab/workload/workload.ts'
import { workloads } from '#lab/workload-table.ts'
import { plugins } from '#plugins/index.ts'
import { OwnSchedulerArm } from './own-scheduler.ts'

/** Bytes of a KV block of 16 tokens. */
const blockBytes = 64

/** A scorer without an opinion that hands every request to a test. */
function watcher(watch: (request: ScheduleRequest) => void) {
  return definePlugin({
    point: 'scorer',
    type: 'watcher',
    stability: 'alpha',
    summary: 'test',
    reads: [],
    parameters: z.strictObject({}),
    create: () => ({
      score(request, { count }, out) {
        out.fill(Number.NaN, 0, count)
        watch(request)
      },
    }),
  })
}

/** The text of a prompt as a plug-in finds it: the spans of the body, slice by slice. */
function promptOf({ body, promptSpans }: ScheduleRequest): Buffer {
  const whole = Buffer.concat([...body.slices])
  assert.equal(whole.length, body.bytes)
  return Buffer.concat(promptSpans.map(({ start, end }) => whole.subarray(start, end)))
}

function workloadNamed(name: string, engines: number): WorkloadDefinition {
  const found = workloads.find((each) => each.name === name)
  assert.ok(found, name)
  return { ...found, engines }
}

describe("a plug-in of the gateway's scheduler", () => {
  test('that looks at the bytes of prompts finds what the engine will find in its cache', () => {
    let text: Buffer = Buffer.alloc(0)
    const watch = (request: ScheduleRequest): void => {
      const whole = promptOf(request)
      assert.equal(whole.length, request.promptBytes)
      assert.equal(whole[0], whole.at(-1), 'in quotes, as in JSON')
      text = whole.subarray(1, -1)
    }
    const sent = [new Set<string>(), new Set<string>()]
    /** Tokens of the prompt that an engine has read before, in whole blocks. */
    const predict = (index: number): number => {
      // The engine computes the last token of a prompt in any case.
      const most = Math.floor((text.length - 4) / blockBytes)
      let predicted = 0
      for (let block = 1; block <= Math.floor(text.length / blockBytes); block++) {
        const prefix = text.toString('latin1', 0, block * blockBytes)
        if (sent[index]?.has(prefix) === true && block <= most) predicted = block * 16
        sent[index]?.add(prefix)
      }
      return predicted
    }
    const guesses = new Map<object, number>()
    let hits = 0
    const arm: ArmDefinition = {
      name: 'watched',
      kind: 'own',
      summary: '',
      create(ports) {
        const profile = {
          filters: [],
          scorers: [{ type: 'watcher', weight: 1, parameters: {} }],
          picker: { type: 'max-score', parameters: {} },
        }
        const own = new OwnSchedulerArm(ports, { profile, plugins: [...plugins, watcher(watch)] })
        return {
          place(arrival) {
            const index = own.place(arrival)
            guesses.set(arrival, predict(index))
            return index
          },
          onFirstToken: (placed, atMs) => own.onFirstToken(placed, atMs),
          onFinished(placed, atMs) {
            assert.equal(placed.call.cachedTokens, guesses.get(placed.arrival))
            if (placed.call.cachedTokens > 0) hits++
            own.onFinished(placed, atMs)
          },
        }
      },
    }
    runArm({
      arm,
      // Two, so that the scheduler compares; so little load that one request has ended before the next one comes.
      workload: workloadNamed('hot', 2),
      seed: 1,
      load: 0.1,
      warmUpMs: 1_000,
      measuredMs: 300_000,
      readTrace: () => '',
    })
    assert.ok(hits > 5, `${hits} hits`)
  })

  test('that hears of the ends of its placements hears how long the answers were', () => {
    const heard: number[] = []
    const made: number[] = []
    const listener = definePlugin({
      point: 'scorer',
      type: 'listener',
      stability: 'alpha',
      summary: 'test',
      reads: [],
      parameters: z.strictObject({}),
      create: () => ({
        score: (_request, { count }, out) => void out.fill(1, 0, count),
        placed: () => ({ ended: ({ outputTokens }) => void heard.push(outputTokens) }),
      }),
    })
    const arm: ArmDefinition = {
      name: 'listening',
      kind: 'own',
      summary: '',
      create(ports) {
        const scorers = [{ type: 'listener', weight: 1, parameters: {} }]
        const profile = { filters: [], scorers, picker: { type: 'max-score', parameters: {} } }
        const own = new OwnSchedulerArm(ports, { profile, plugins: [...plugins, listener] })
        return {
          place: (arrival) => own.place(arrival),
          onFinished(placed, atMs) {
            made.push(placed.call.producedTokens)
            own.onFinished(placed, atMs)
          },
        }
      },
    }
    const workload = workloadNamed('no-reuse', 2)
    runArm({ arm, workload, seed: 1, load: 5, warmUpMs: 0, measuredMs: 4_000, readTrace: () => '' })
    assert.ok(heard.length > 10)
    assert.deepEqual(heard, made)
  })
})
