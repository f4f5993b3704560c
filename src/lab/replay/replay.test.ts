import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { arms } from '#lab/arm-table.ts'
import { runArm } from '#lab/run.ts'
import { marksOf } from '#schedule/prompt-marks.ts'
import { PromptHasher } from '#struct/prompt-hasher.ts'
import { DecisionsError, readDecisions } from './decisions.ts'
import { replayWorkload } from './replay-workload.ts'

const hasher = new PromptHasher()
const blockTokens = 64

/** Marks of a text, as the producer `prefix` and a record make them. */
function marksOfText(text: string) {
  const bytes = Buffer.from(text)
  const hashes = new Int32Array(2 * 4096)
  const blocks = hasher.hash([bytes], [{ start: 0, end: bytes.length }], hasher.saltOf(['llama']), hashes)
  return marksOf({ chain: { hashes, blocks }, blockTokens })
}

/** Text of so many tokens of 4 bytes that begins with `start`. */
function textOf(start: string, tokens: number): string {
  return start.padEnd(tokens * 4, `${start} `)
}

/** A decision as the admin server answers it, less what a replay does not read. */
function decision(requestId: string, text: string, others: object = {}, request: object = {}) {
  return {
    requestId,
    attempt: 1,
    atWallMs: 1_000,
    model: 'llama',
    modelServer: 'prod/llama',
    profile: 'default',
    endpoints: 2,
    request: {
      promptBytes: text.length,
      promptTokens: text.length / 4,
      maxTokens: 50,
      hasAdapter: false,
      promptMarks: marksOfText(text),
      ...request,
    },
    ...others,
  }
}

function read(...decisions: readonly object[]) {
  return readDecisions([{ name: 'decisions.json', text: JSON.stringify({ decisions }) }])
}

function arrivals(decisions: readonly object[], load = 1) {
  const { requests } = read(...decisions)
  const workload = replayWorkload(requests, { engines: 2, preset: 'llama-8b-h100', outputTokens: 100 })
  const setup = { seed: 101, load, endMs: 1e9, blockSize: 16, readTrace: () => '' }
  return [...workload.create(setup).arrivals]
}

/** Tokens at which the prompts of two requests part. */
function shared(first: (typeof all)[number], second: (typeof all)[number]): number {
  const [one, other] = [first.request.blockHashes, second.request.blockHashes]
  let blocks = 0
  while (blocks < one.length && one[blocks] === other[blocks]) blocks++
  return blocks * 16
}

const system = textOf('You are a helpful assistant.', 1_000)
const all = arrivals([
  decision('a', `${system}${textOf('one', 500)}`),
  decision('b', `${system}${textOf('two', 300)}`, { atWallMs: 3_000 }),
  decision('c', textOf('something else', 700), { atWallMs: 2_000 }),
  decision('d', `${system}${textOf('one', 500)}`, { atWallMs: 4_000 }),
])

describe('recorded decisions as a workload', () => {
  test('come in order of time, faster when asked', () => {
    assert.deepEqual(
      all.map(({ atMs }) => atMs),
      [0, 1_000, 2_000, 3_000],
    )
    const fast = arrivals([decision('a', system), decision('b', system, { atWallMs: 3_000 })], 2)
    assert.deepEqual(
      fast.map(({ atMs }) => atMs),
      [0, 1_000],
    )
  })

  test('have the lengths that were recorded, and answers within what was allowed', () => {
    assert.deepEqual(
      all.map(({ request }) => request.promptTokens),
      [1_500, 700, 1_300, 1_500],
    )
    for (const { request } of all) assert.ok(request.outputTokens >= 1 && request.outputTokens <= 50)
  })

  test('share what they shared, to within an eighth, and nothing they did not', () => {
    const [a, c, b, d] = all
    assert.ok(a && b && c && d)
    assert.ok(shared(a, b) > 1_000 * 0.85 && shared(a, b) <= 1_000, `${shared(a, b)}`)
    assert.equal(shared(a, c), 0)
    // The last block that is not full was not hashed.
    assert.ok(shared(a, d) > 1_500 - 2 * blockTokens && shared(a, d) <= 1_500, `${shared(a, d)}`)
    assert.equal(a.group, b.group)
    assert.notEqual(a.group, c.group)
  })

  test('of adapters share nothing with the base model, and keep their adapter', () => {
    const [base, tuned] = arrivals([
      decision('a', system),
      decision('b', system, { model: 'tuned', atWallMs: 2_000 }, { hasAdapter: true }),
    ])
    assert.ok(base && tuned)
    assert.equal(base.request.adapter, undefined)
    assert.equal(tuned.request.adapter, 0)
    assert.equal(shared(base, tuned), 0)
  })

  test('without marks are new, and as long as their bytes say', () => {
    const [first, second] = arrivals([
      decision('a', system, {}, { promptTokens: 0, promptMarks: undefined }),
      decision('b', system, { atWallMs: 2_000 }, { promptTokens: 0, promptMarks: undefined }),
    ])
    assert.ok(first && second)
    assert.equal(first.request.promptTokens, 1_000)
    assert.equal(shared(first, second), 0)
  })

  test('run under any arm: who keeps what is alike together finds more of it', () => {
    const texts = Array.from({ length: 37 }, (_, i) => textOf(`system ${i}`, 2_000))
    const decisions = Array.from({ length: 160 }, (_, i) =>
      decision(`r${i}`, `${texts[i % texts.length]}${textOf(`q${i}`, 200)}`, { atWallMs: 1_000 + 100 * i }),
    )
    const { requests } = read(...decisions)
    const workload = replayWorkload(requests, { engines: 4, preset: 'llama-8b-h100', outputTokens: 50 })
    const hits = ['gateway', 'round-robin'].map((name) => {
      const arm = arms.find((each) => each.name === name)
      assert.ok(arm)
      const { requests: ended, hitRatio } = runArm({
        arm,
        workload,
        seed: 101,
        load: 1,
        warmUpMs: 2_000,
        measuredMs: 1e6,
        readTrace: () => '',
      })
      assert.equal(ended, 140)
      return hitRatio
    })
    assert.ok(hits[0]! > hits[1]! + 0.2, hits.join(' '))
  })
})

describe('files of decisions', () => {
  test('are an answer of the admin server, or a list; what is in several counts once, later tries do not', () => {
    const decisions = [decision('a', system), decision('b', system, { attempt: 2 }), decision('c', system)]
    const plan = { filters: [], scorers: [], picker: { type: 'random', parameters: {} } }
    const found = readDecisions([
      { name: 'one', text: JSON.stringify({ decisions: decisions.slice(0, 2), profiles: { default: plan } }) },
      { name: 'two', text: JSON.stringify(decisions) },
    ])
    assert.deepEqual(
      found.requests.map(({ requestId }) => requestId),
      ['a', 'c'],
    )
    assert.deepEqual(found.profiles, { default: plan })
  })

  test('that are something else are refused by name', () => {
    const cases: readonly (readonly [text: string, problem: RegExp])[] = [
      ['<html>', /^x.json: this is not JSON$/],
      ['{"a":1}', /^x.json: there are no 'decisions'$/],
      ['null', /^x.json: there are no 'decisions'$/],
      ['[1]', /^x.json: decision 1: it has no requestId, atWallMs or request$/],
      [
        JSON.stringify([decision('a', system, {}, { promptTokens: -1 })]),
        /decision 1: promptTokens is not a whole number/,
      ],
      [
        JSON.stringify([decision('a', system, {}, { promptTokens: 1e9 })]),
        /decision 1: promptTokens is not a whole number/,
      ],
      [JSON.stringify([decision('a', system, {}, { promptMarks: { blocks: -1 } })]), /decision 1: promptMarks are not/],
    ]
    for (const [text, problem] of cases) {
      assert.throws(
        () => readDecisions([{ name: 'x.json', text }]),
        (error) => error instanceof DecisionsError && problem.test(error.message),
        text.slice(0, 40),
      )
    }
  })
})
