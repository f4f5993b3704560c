import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { startSim } from '#sim/server.ts'
import { run } from '#test/end-to-end/support/run.ts'
import { startVllm, vllmDirectory } from './start-vllm.ts'

const root = join(import.meta.dirname, '..', '..')
const python = join(process.env.INFER_GATEWAY_TEST_VENV ?? join(root, '.cache', 'venv'), 'bin', 'python')
const script = join(import.meta.dirname, '..', 'end-to-end', 'support', 'kv_events_client.py')
const skip = existsSync(join(vllmDirectory(), 'ready'))
  ? existsSync(python)
    ? false
    : 'pyzmq is not installed: scripts/install-test-tools'
  : 'vLLM is not installed: test/engines/setup-vllm'

const blockSize = 32
const blocks = 48
const generatedTokens = 60
const adapterPath = join(vllmDirectory(), 'model', 'adapters', 'chat-lora')

/** Token ids, different for each text. */
function text(number: number, tokens: number): number[] {
  return Array.from({ length: tokens }, (_, i) => 5 + ((i * 7 + number * 131) % 4000))
}

/** A single output token leaves no KV behind: then every block is one of a prompt, whose tokens are the same for both. */
const steps = [
  ['load', { name: 'chat-lora', path: adapterPath }],
  ['complete', { prompt: text(1, 64), tokens: 1 }],
  ['complete', { prompt: text(1, 64), tokens: 1 }],
  ['complete', { prompt: text(1, 70), tokens: 1 }],
  ['complete', { prompt: text(1, 64), tokens: 1, model: 'chat-lora', salt: 'tenant-b' }],
  ['complete', { prompt: text(1, 64), tokens: 1, salt: 'tenant-b' }],
  ['complete', { prompt: [...text(1, 40), ...text(2, 300)], tokens: 1 }],
  ...[3, 4, 5, 3, 6, 7, 4, 8, 3].map((number) => ['complete', { prompt: text(number, 300 + number), tokens: 1 }]),
  ['reset'],
  ['complete', { prompt: text(1, 64), tokens: 1 }],
  ['complete', { prompt: text(9, 40), tokens: generatedTokens }],
  ['replay', { start: 0 }],
  ['replay', { start: 100_000 }],
  ['sources_page'],
]

interface Result {
  readonly stored?: readonly { readonly names: readonly string[] }[]
  readonly foreseen?: number
  readonly cached?: number
}

async function follow(url: string): Promise<(Result | null)[]> {
  const scenario = JSON.stringify({ client: { size: blockSize }, steps })
  const { code, out, err } = await run(python, [script, url, scenario], 180_000)
  assert.equal(code, 0, err)
  return JSON.parse(out) as (Result | null)[]
}

test('the simulator announces the same blocks by the same names as a real vLLM, message by message', {
  skip,
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'kv-events-'))
  // A real engine binds local sockets only by ipc.
  const endpoints = (of: string) => ({
    endpoint: `ipc://${folder}/${of}`,
    replayEndpoint: `ipc://${folder}/${of}-replay`,
  })
  const real = endpoints('real')
  const config = {
    enable_kv_cache_events: true,
    publisher: 'zmq',
    endpoint: real.endpoint,
    replay_endpoint: real.replayEndpoint,
    topic: 'kv@here@tiny',
  }
  const size = ['--max-model-len', '1024', '--num-gpu-blocks-override', String(blocks)]
  const algorithm = ['--prefix-caching-hash-algo', 'sha256_cbor']
  const engine = await startVllm([...size, ...algorithm, '--kv-events-config', JSON.stringify(config)])
  const simulated = endpoints('simulated')
  const sim = await startSim({
    models: ['tiny'],
    ttftMs: 2,
    tpotMs: 1,
    blockSize,
    // One block of a real engine stands for nothing.
    kvBlocks: blocks - 1,
    kvEvents: { ...simulated, topic: 'kv@here@tiny', blockHashes: 'engine', hashSeed: '0' },
  })
  try {
    const expected = await follow(engine?.url ?? '')
    const got = await follow(sim.url)
    for (const [i, step] of steps.entries()) {
      const isGenerated = JSON.stringify(step).includes(`"tokens":${generatedTokens}`)
      assert.deepEqual(comparable(got[i], isGenerated), comparable(expected[i], isGenerated), JSON.stringify(step))
    }
    const names = expected.flatMap((result) => result?.stored?.flatMap((stored) => stored.names) ?? [])
    assert.ok(names.length > 40, `${names.length} names`)
    for (const result of expected) assert.equal(result?.foreseen, result?.cached)
  } finally {
    await sim.close()
    await engine?.close()
    rmSync(folder, { recursive: true })
  }
})

/** A result without what must differ: addresses, and the names of blocks of generated tokens. */
function comparable(result: unknown, isGenerated: boolean): unknown {
  const json = JSON.stringify(result, (key, value: unknown) => {
    if (isGenerated && key === 'names') return Array.isArray(value) ? value.length : value
    return value
  })
  return JSON.parse(json.replaceAll(/ipc:[^"]*(-replay)?"/g, 'ipc:$1"')) as unknown
}
