import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PlacementEnd } from '#contracts/schedule.ts'
import { candidatesOf, pluginPorts, scheduleRequest, slotAt } from '#plugins/plugin-case.ts'
import { prefix } from './prefix.ts'

const tokens = 1024
const answered: PlacementEnd = { isAnswered: true, outputTokens: 1 }
const failed: PlacementEnd = { isAnswered: false, outputTokens: Number.NaN }

/** Whoever sends this prompt again, to one endpoint. */
function again(): { cached: () => number | undefined; place: () => { answer: () => void; fail: () => void } } {
  const ports = pluginPorts()
  const producer = prefix.create({}, ports)
  const candidates = candidatesOf([{ blockSize: 16, blockCount: 5000 }])
  const text = Buffer.alloc(4 * tokens, 'What is asked by many at once. ')
  const promptSpans = [{ start: 0, end: text.length }]
  const body = { slices: [text], bytes: text.length }
  const request = scheduleRequest({ body, promptSpans, promptBytes: text.length })
  ports.facts.promptTokens = tokens
  const cached = () => {
    producer.produce(request, candidates)
    return ports.facts.cachedTokens[slotAt(0)]
  }
  return {
    cached,
    place() {
      cached()
      const placement = producer.placed?.(request, slotAt(0))
      return {
        answer() {
          placement?.firstToken?.(1_000_010)
          placement?.ended(answered)
        },
        fail: () => placement?.ended(failed),
      }
    },
  }
}

test('a prompt that was answered stays, though the one that brought it first fails: it went with that one', () => {
  const { cached, place } = again()
  const first = place()
  place().answer()
  first.fail()
  assert.equal(cached(), tokens)
})

test('a prompt goes when all that brought it fail', () => {
  const { cached, place } = again()
  const all = [place(), place(), place()]
  for (const one of all) {
    assert.equal(cached(), tokens)
    one.fail()
  }
  assert.equal(cached(), 0)
})

test('a prompt stays when one fails after another has been answered', () => {
  const { cached, place } = again()
  place().answer()
  place().fail()
  assert.equal(cached(), tokens)
})
