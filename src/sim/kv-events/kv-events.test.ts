import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { Dealer, Subscriber } from 'zeromq'
import { KvEvents } from './kv-events.ts'
import { type KvEventOptions, resolveKvEventOptions } from './options.ts'

const end = 'ffffffffffffffff'

interface Opened {
  readonly events: KvEvents
  readonly subscriber: Subscriber
  readonly dealer: Dealer
}

/** Opens the events of one server, someone who listens, and someone who asks for replays. */
async function withEvents(options: KvEventOptions, check: (opened: Opened) => Promise<void>): Promise<void> {
  const settings = resolveKvEventOptions(options, { engine: 'vllm', host: '127.0.0.1', ranks: 1 })
  const events = await KvEvents.open(settings, 1, () => '')
  const subscriber = new Subscriber({ linger: 0, receiveTimeout: 5000, receiveHighWaterMark: 2 })
  const dealer = new Dealer({ linger: 0, receiveTimeout: 5000 })
  try {
    const [source] = events.sources()
    subscriber.connect(source?.endpoint ?? '')
    subscriber.subscribe('')
    if (source?.replayEndpoint) dealer.connect(source.replayEndpoint)
    await check({ events, subscriber, dealer })
  } finally {
    subscriber.close()
    dealer.close()
    events.close()
  }
}

/** One step with one event. */
function step(events: KvEvents): void {
  events.cleared(0)
  events.stepEnd(0, 1_795_254_000_000)
}

/** Publishes until the subscription has arrived; returns the number of the first message that came. */
async function connected({ events, subscriber }: Opened): Promise<number> {
  const arrived = subscriber.receive()
  for (let tries = 0; tries < 2000; tries++) {
    step(events)
    const frames = await Promise.race([arrived, delay(2, undefined)])
    if (frames !== undefined) return sequenceOf(frames)
  }
  throw new Error('the subscription never arrived')
}

function sequenceOf(frames: readonly Buffer[]): number {
  return Number(frames.at(-2)?.readBigUInt64BE())
}

async function replay(dealer: Dealer, start: number): Promise<string[][]> {
  const wanted = Buffer.alloc(8)
  wanted.writeBigUInt64BE(BigInt(start))
  await dealer.send([Buffer.alloc(0), wanted])
  const answers: string[][] = []
  for (;;) {
    const frames = await dealer.receive()
    answers.push(frames.map((frame) => frame.toString('hex')))
    if (frames.at(-2)?.toString('hex') === end) return answers
  }
}

test('messages have topic, number and payload; numbers go on one by one', async () => {
  await withEvents({ port: 0 }, async (opened) => {
    const { events, subscriber } = opened
    events.announce('127.0.0.1:8000', 'tiny')
    const first = await connected(opened)
    const until = events.sources()[0]?.nextSequence ?? 0
    for (let sequence = first + 1; sequence < until; sequence++) {
      const frames = await subscriber.receive()
      assert.equal(frames.length, 3)
      assert.equal(frames[0]?.toString(), 'kv@127.0.0.1:8000@tiny')
      assert.equal(sequenceOf(frames), sequence)
      assert.equal(
        frames[2]?.toString('hex').slice(-38),
        '9181a474797065b0416c6c426c6f636b73436c656172656400'.slice(-38),
      )
    }
  })
})

test('who is too slow loses messages, and a replay has them', async () => {
  await withEvents({ port: 0, replayPort: 0, hwm: 5, topic: 't' }, async (opened) => {
    const { events, subscriber, dealer } = opened
    await connected(opened)
    for (let i = 0; i < 20_000; i++) step(events)
    step(events)
    const total = events.sources()[0]?.nextSequence ?? 0
    const seen: number[] = []
    subscriber.receiveTimeout = 300
    for (;;) {
      try {
        seen.push(sequenceOf(await subscriber.receive()))
      } catch {
        break
      }
    }
    assert.ok(seen.length < 20_000, 'nothing was lost')
    assert.deepEqual(
      seen,
      seen.toSorted((a, b) => a - b),
    )
    const answers = await replay(dealer, total - 3)
    assert.deepEqual(
      answers.map((frames) => [frames[0], frames[1], Number(BigInt(`0x${frames[2]}`))]),
      [
        ['', '74', total - 3],
        ['', '74', total - 2],
        ['', '74', total - 1],
        ['', '', 2 ** 64],
      ],
    )
  })
})

test('a request for a replay without delimiter, or with more frames, gets no answer; the next one does', async () => {
  await withEvents({ port: 0, replayPort: 0 }, async ({ events, dealer }) => {
    step(events)
    await dealer.send([Buffer.alloc(8)])
    await dealer.send([Buffer.alloc(0), Buffer.alloc(8), Buffer.alloc(8)])
    await dealer.send([Buffer.alloc(0), Buffer.alloc(65)])
    const answers = await replay(dealer, 0)
    assert.deepEqual(
      answers.map((frames) => frames[2]),
      ['0000000000000000', end],
    )
  })
})

test('who sends a frame that no request needs is cut off, and the next one is answered', async () => {
  await withEvents({ port: 0, replayPort: 0 }, async ({ events, dealer }) => {
    step(events)
    await dealer.send([Buffer.alloc(0), Buffer.alloc(5000)])
    await delay(50)
    const answers = await replay(dealer, 0)
    assert.equal(answers.length, 2)
  })
})

test('a whole buffer of replays gets through to one who asks', async () => {
  await withEvents({ port: 0, replayPort: 0 }, async ({ events, dealer }) => {
    for (let i = 0; i < 10_050; i++) step(events)
    const answers = await replay(dealer, 0)
    assert.equal(answers.length, 10_001)
    assert.equal(Number(BigInt(`0x${answers[0]?.[2]}`)), 50)
  })
})

test('events go over a local socket too', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'kv-events-'))
  try {
    const endpoint = `ipc://${folder}/kv`
    await withEvents({ endpoint, replayEndpoint: `${endpoint}-replay` }, async (opened) => {
      await connected(opened)
      const answers = await replay(opened.dealer, 0)
      assert.equal(answers.at(-1)?.[2], end)
    })
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('when an address cannot be had nothing stays open', async () => {
  await withEvents({ port: 0, replayPort: 0 }, async ({ events }) => {
    const [source] = events.sources()
    const taken = { port: 0, replayEndpoint: source?.replayEndpoint ?? '' }
    const settings = resolveKvEventOptions(taken, { engine: 'vllm', host: '127.0.0.1', ranks: 1 })
    await assert.rejects(() => KvEvents.open(settings, 1, () => ''), /in use/)
  })
})
