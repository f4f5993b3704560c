import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { PluginPorts, Producer, ScheduleRequest } from '#contracts/schedule.ts'
import { candidatesOf, type LoadRow, pluginPorts, scheduleRequest, slotAt } from '#plugins/plugin-case.ts'
import { approxPrefixCacheProducer } from './approx-prefix-cache-producer.ts'
import { inflightLoadProducer } from './inflight-load-producer.ts'

/** A request whose prompt is this text and nothing else. */
function promptRequest(text: string, model = 'base'): ScheduleRequest {
  const bytes = Buffer.from(text)
  return scheduleRequest({
    model,
    body: { slices: [bytes], bytes: bytes.length },
    promptSpans: [{ start: 0, end: bytes.length }],
    promptBytes: bytes.length,
  })
}

/** Text of `blocks` blocks of 64 tokens that the seed decides. */
function textOf(seed: string, blocks: number): string {
  return Array.from({ length: blocks }, (_, i) => `${seed}${i}`.padEnd(256, '.')).join('')
}

const done = { isAnswered: true, outputTokens: 10 }
const failed = { isAnswered: false, outputTokens: Number.NaN }

/** A producer of prefix matches over `rows`, and how many blocks each endpoint holds of a prompt. */
function prefixes(rows: readonly LoadRow[], parameters: Record<string, unknown> = {}) {
  const ports: PluginPorts = pluginPorts()
  const settings = approxPrefixCacheProducer.parameters.parse(parameters)
  const producer: Producer = approxPrefixCacheProducer.create(settings, ports)
  const candidates = candidatesOf(rows)
  const matched = (request: ScheduleRequest): number[] => {
    producer.produce(request, candidates)
    return rows.map((_, i) => ports.facts.matchedBlocks[slotAt(i)] ?? -1)
  }
  /** Places the request, and returns who hears how it fares. */
  const place = (request: ScheduleRequest, i: number) => {
    producer.produce(request, candidates)
    return producer.placed?.(request, slotAt(i))
  }
  const serve = (request: ScheduleRequest, i: number): void => {
    const placement = place(request, i)
    placement?.firstToken?.(0)
    placement?.ended(done)
  }
  return { facts: ports.facts, matched, place, serve, producer, candidates }
}

describe('approx-prefix-cache-producer', () => {
  test('cuts a prompt into blocks of 64 tokens, the last of which may not be full', () => {
    const { facts, matched } = prefixes([{}, {}])
    assert.deepEqual(matched(promptRequest(`${textOf('a', 2)}rest!`)), [0, 0])
    assert.deepEqual([facts.totalBlocks, facts.blockTokens, facts.promptTokens], [3, 64, 130])
  })

  test('an endpoint holds what it was sent, for the model it was sent for', () => {
    const { facts, matched, serve } = prefixes([{}, {}])
    serve(promptRequest(textOf('a', 3)), 1)
    assert.deepEqual(matched(promptRequest(textOf('a', 3) + textOf('b', 1))), [0, 3])
    assert.deepEqual([facts.cachedTokens[slotAt(0)], facts.cachedTokens[slotAt(1)]], [0, 192])
    assert.deepEqual(matched(promptRequest(textOf('a', 3), 'adapter')), [0, 0])
    assert.deepEqual(matched(promptRequest(textOf('b', 3))), [0, 0])
  })

  test('a whole prompt that is cached counts no more tokens than it has', () => {
    const { facts, matched, serve } = prefixes([{}])
    serve(promptRequest('a short prompt'), 0)
    assert.deepEqual(matched(promptRequest('a short prompt')), [1])
    assert.deepEqual([facts.promptTokens, facts.cachedTokens[slotAt(0)]], [4, 4])
  })

  test('a request without a prompt is of no blocks', () => {
    const { facts, matched, place } = prefixes([{}])
    assert.deepEqual(matched(scheduleRequest()), [0])
    assert.deepEqual([facts.totalBlocks, facts.promptTokens], [0, 1])
    assert.equal(place(scheduleRequest(), 0), undefined)
  })

  test('looks at as much of a prompt as it is told', () => {
    const cases = [
      [{ maxPrefixTokensToMatch: 128 }, 2],
      [{ maxPrefixTokensToMatch: 0, maxPrefixBlocksToMatch: 3 }, 3],
      [{ maxPrefixTokensToMatch: 0, maxPrefixBlocksToMatch: 0 }, 5],
      [{ maxPrefixTokensToMatch: 128, maxPrefixBlocksToMatch: 1 }, 2],
      [{ maxPrefixTokensToMatch: 63 }, 0],
    ] as const
    for (const [parameters, blocks] of cases) {
      const { facts, matched } = prefixes([{}], parameters)
      matched(promptRequest(textOf('a', 5)))
      assert.equal(facts.totalBlocks, blocks, JSON.stringify(parameters))
    }
  })

  test('blocks have at least 64 tokens, whatever is given or reported', () => {
    const cases = [
      [{}, [{ blockSize: 16 }], 64],
      [{ autoTune: false, blockSizeTokens: 128 }, [{ blockSize: 16 }], 128],
      [{ autoTune: false, blockSize: 256 }, [{}], 256],
      [{ blockSizeTokens: 100 }, [{}], 100],
      [{}, [{ blockSize: 128 }], 128],
    ] as const
    for (const [parameters, rows, tokens] of cases) {
      const { facts, matched } = prefixes(rows, parameters)
      matched(promptRequest('text'))
      assert.equal(facts.blockTokens, tokens, JSON.stringify([parameters, rows]))
    }
  })

  test('looks at the bytes of a prompt, however they came in slices', () => {
    const { matched, serve } = prefixes([{}])
    const text = textOf('a', 3)
    serve(promptRequest(text), 0)
    const bytes = Buffer.from(`{"prompt":"${text}"}`)
    const slices = [bytes.subarray(0, 100), bytes.subarray(100, 101), bytes.subarray(101)]
    const promptSpans = [{ start: 11, end: 11 + text.length }]
    const body = { slices, bytes: bytes.length }
    assert.deepEqual(matched(scheduleRequest({ body, promptSpans, promptBytes: text.length })), [3])
  })
})

describe('defects of the Endpoint Picker’s prefix index that ours does not share (endpoint-picker.md 5.1)', () => {
  test('(a) a long chain loses its tail, not its root', () => {
    // 8 blocks of 64 tokens fit; the root of the first prompt is what the second one finds again.
    const { matched, serve } = prefixes([{ blockSize: 16, blockCount: 32 }])
    serve(promptRequest(textOf('a', 6)), 0)
    serve(promptRequest(textOf('b', 4)), 0)
    const [left = 0] = matched(promptRequest(textOf('a', 6)))
    assert.ok(left >= 2 && left < 6, `${left}`)
  })

  test('(b) an endpoint is taken to hold what its engine can hold, not four times as much', () => {
    // 64 blocks of 16 tokens are 16 blocks of 64, and one at the edge. The Endpoint Picker would remember 64 of those.
    const { matched, serve } = prefixes([{ blockSize: 16, blockCount: 64 }])
    for (const seed of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']) serve(promptRequest(textOf(seed, 8)), 0)
    const held = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map((seed) => matched(promptRequest(textOf(seed, 8)))[0] ?? 0)
    const total = held.reduce((sum, blocks) => sum + blocks, 0)
    assert.ok(total >= 8 && total <= 17, held.join())
  })

  test('(c) only blocks without a gap count', () => {
    // Both get the prompt; the first then forgets a part of it. The Endpoint Picker would count what is left behind the gap.
    const { matched, serve } = prefixes([{ blockSize: 16, blockCount: 32 }, {}])
    for (const i of [0, 1]) serve(promptRequest(textOf('a', 6)), i)
    serve(promptRequest(textOf('b', 4)), 0)
    const [held = 0] = matched(promptRequest(textOf('a', 6)))
    assert.ok(held > 0 && held < 6, `${held}`)
    for (let blocks = 1; blocks <= 6; blocks++) {
      assert.deepEqual(matched(promptRequest(textOf('a', blocks))), [Math.min(held, blocks), blocks])
    }
  })

  test('a request that fails before its first token leaves nothing behind', () => {
    const { matched, place } = prefixes([{}, {}])
    const request = promptRequest(textOf('a', 3))
    const placement = place(request, 0)
    assert.deepEqual(matched(request), [3, 0])
    placement?.ended(failed)
    assert.deepEqual(matched(request), [0, 0])
  })

  test('the block size does not depend on the order of the candidates', () => {
    const sizes = [{ blockSize: 16 }, { blockSize: 128 }]
    const tokens = [sizes, sizes.toReversed()].map((rows) => {
      const { facts, matched } = prefixes(rows)
      matched(promptRequest('text'))
      return facts.blockTokens
    })
    assert.deepEqual(tokens, [128, 128])
  })
})

describe('inflight-load-producer', () => {
  const rows = [{ uncachedTokens: 100 }, { uncachedTokens: 0 }]
  const make = (parameters: Record<string, unknown> = {}) => {
    const ports = pluginPorts()
    ports.facts.promptTokens = 1000
    const producer: Producer = inflightLoadProducer.create(inflightLoadProducer.parameters.parse(parameters), ports)
    const columns = (request = scheduleRequest()) => {
      producer.produce(request, candidatesOf(rows))
      const of = (column: Float64Array) => rows.map((_, i) => column[slotAt(i)])
      return { inFlight: of(ports.facts.inFlightTokens), own: of(ports.facts.requestTokens) }
    }
    return { facts: ports.facts, producer, columns }
  }

  test('counts prompt tokens that are not computed yet', () => {
    assert.deepEqual(make().columns(), { inFlight: [100, 0], own: [1000, 1000] })
  })

  test('leaves out what is cached, in whole blocks, and adds what was not looked at', () => {
    const { facts, columns } = make()
    facts.totalBlocks = 10
    facts.blockTokens = 64
    facts.matchedBlocks[slotAt(1)] = 4
    assert.deepEqual(columns().own, [640 + 360, 384 + 360])
    facts.matchedBlocks[slotAt(1)] = 10
    facts.promptTokens = 630
    assert.deepEqual(columns().own, [640, 0])
  })

  test('may add an estimate of the output, up to the end of the answer', () => {
    const { producer, columns } = make({ addEstimatedOutputTokens: true })
    assert.deepEqual(columns(), { inFlight: [0, 0], own: [2500, 2500] })
    const placement = producer.placed?.(scheduleRequest(), slotAt(1))
    placement?.firstToken?.(0)
    assert.deepEqual(columns().inFlight, [0, 2500])
    placement?.ended(done)
    assert.deepEqual(columns().inFlight, [0, 0])
  })

  test('the estimate is bounded by max_tokens and by the operator', () => {
    const { columns } = make({ addEstimatedOutputTokens: true, outputRatio: 2, maxEstimatedOutputTokens: 700 })
    assert.deepEqual(columns(scheduleRequest({ maxTokens: 50 })).own, [1050, 1050])
    assert.deepEqual(columns(scheduleRequest({ maxTokens: 0 })).own, [1700, 1700])
  })
})
