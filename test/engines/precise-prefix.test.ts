import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { candidatesOf, pluginPorts, scheduleRequest, slotAt } from '#plugins/plugin-case.ts'
import { prefix } from '#plugins/producer/prefix.ts'
import { type Foretold, PreciseFleet } from '#test/end-to-end/support/precise-fleet.ts'
import { startVllm, vllmDirectory } from './start-vllm.ts'

const skip = existsSync(join(vllmDirectory(), 'ready')) ? false : 'vLLM is not installed: test/engines/setup-vllm'

const blocks = 48
const adapterPath = join(vllmDirectory(), 'model', 'adapters', 'chat-lora')
const system = 'You answer in one short sentence, whatever you are asked for. '

type Started = NonNullable<Awaited<ReturnType<typeof startVllm>>>

/** Token ids, different for each text. */
function tokensOf(number: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => 5 + ((i * 7 + number * 131) % 4000))
}

/**
 * What was sent there against what the engine finds. The engine counts its own tokens, the gateway bytes; of both the share of
 * the prompts is compared. Everything fits.
 */
async function assertApproximates(url: string): Promise<void> {
  const ports = pluginPorts()
  const producer = prefix.create({}, ports)
  const candidates = candidatesOf([{ blockSize: 32, blockCount: blocks }])
  const shares: { foretold: number; cached: number }[] = []
  for (let i = 0; i < 12; i++) {
    const beginning = `Rule ${i % 2}: ${'answer briefly, and never guess what you do not know. '.repeat(20)}`
    const prompt = `${beginning} Question ${i}: how many are there?`
    const bytes = Buffer.from(prompt)
    const request = scheduleRequest({
      body: { slices: [bytes], bytes: bytes.length },
      promptSpans: [{ start: 0, end: bytes.length }],
      promptBytes: bytes.length,
    })
    ports.facts.promptTokens = Math.ceil(bytes.length / 4)
    producer.produce(request, candidates)
    const foretold = (ports.facts.cachedTokens[slotAt(0)] ?? Number.NaN) / ports.facts.promptTokens
    const placement = producer.placed?.(request, slotAt(0))
    const answer = await fetch(`${url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'tiny', prompt, max_tokens: 2 }),
    })
    const { usage } = (await answer.json()) as {
      usage: { prompt_tokens: number; prompt_tokens_details: { cached_tokens: number } }
    }
    placement?.firstToken?.(0)
    placement?.ended({ isAnswered: true, outputTokens: 2 })
    shares.push({ foretold, cached: usage.prompt_tokens_details.cached_tokens / usage.prompt_tokens })
  }
  const mean = (of: 'foretold' | 'cached') => shares.reduce((sum, each) => sum + each[of], 0) / shares.length
  const text = `${mean('foretold').toFixed(3)} foretold, ${mean('cached').toFixed(3)} cached`
  assert.ok(Math.abs(mean('foretold') - mean('cached')) < 0.05, text)
  assert.ok(mean('cached') > 0.5, text)
}

test('what a real vLLM finds of a prompt is foretold from its events', { skip }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'kv-events-'))
  const address = `ipc://${folder}/kv`
  const replayAddress = `ipc://${folder}/replay`
  const config = {
    enable_kv_cache_events: true,
    publisher: 'zmq',
    endpoint: address,
    replay_endpoint: replayAddress,
    topic: 'kv@here@tiny',
  }
  const size = ['--max-model-len', '1024', '--num-gpu-blocks-override', String(blocks)]
  const start = async (): Promise<Started> => {
    const started = await startVllm([...size, '--kv-events-config', JSON.stringify(config)])
    assert.ok(started)
    return started
  }
  let engine = await start()
  const fleet = await PreciseFleet.of([
    {
      get url() {
        return engine.url
      },
      events: { address, replayAddress },
      lost: new Set([1, 6, 7, 15, 20]),
      next: () => undefined,
      close: () => engine.close(),
      startAgain: async () => {
        engine = await start()
      },
    },
  ])
  try {
    const loaded = await fetch(`${engine.url}/v1/load_lora_adapter`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ lora_name: 'chat-lora', lora_path: adapterPath }),
    })
    assert.equal(loaded.status, 200)
    const chat = (text: string, more: object = {}) => ({
      messages: [
        { role: 'system', content: system.repeat(3) },
        { role: 'user', content: text },
      ],
      max_tokens: 2,
      ...more,
    })
    const known: Foretold[] = []
    const repeat = async (body: Readonly<Record<string, unknown>>): Promise<void> => {
      await fleet.complete(0, body)
      known.push(await fleet.complete(0, body))
    }
    await repeat(chat('What is a gateway?'))
    await repeat(chat('What is a gateway?', { model: 'chat-lora' }))
    await repeat(chat('What is a gateway?', { cache_salt: 'tenant-b' }))
    await repeat(chat('Why are there blocks?'))
    // More than fits: what came first has given way when it comes again.
    for (const [i, number] of [3, 4, 5, 3, 6, 7, 4, 8, 3, 3, 8, 5, 6, 7].entries()) {
      const seen = await fleet.complete(0, { prompt: tokensOf(number, 300 + number), max_tokens: 20 })
      if (i > 7) known.push(seen)
    }
    await fetch(`${engine.url}/reset_prefix_cache`, { method: 'POST' })
    await fleet.complete(0, chat('Something else.'))
    known.push(await fleet.complete(0, chat('What is a gateway?')), await fleet.complete(0, chat('What is a gateway?')))
    assert.deepEqual(
      known.map(({ foretold }) => foretold),
      known.map(({ cached }) => cached),
    )
    const hits = known.filter(({ cached }) => cached > 0).length
    assert.ok(hits > 3 && hits < known.length, known.map(({ cached }) => cached).join(' '))
    const [status] = fleet.loop.status()
    assert.equal(status?.state, 'live')
    // Others are found when the engine is asked whether there is anything, and are no gaps then.
    assert.ok(status.gaps > 0)

    await fleet.restart(0)
    const again: Foretold[] = []
    for (const text of ['What is a gateway?', 'What is a gateway?', 'Why are there blocks?', 'What is a gateway?']) {
      again.push(await fleet.complete(0, chat(text)))
    }
    assert.deepEqual(
      again.map(({ foretold }) => foretold),
      again.map(({ cached }) => cached),
    )
    assert.equal(again[0]?.cached, 0)
    assert.ok((again[1]?.cached ?? 0) > 0)

    await assertApproximates(engine.url)
  } finally {
    await fleet.close()
    rmSync(folder, { recursive: true })
  }
})
