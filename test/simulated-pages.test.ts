import assert from 'node:assert/strict'
import { test } from 'node:test'
import parsePage, { type ParsedMetric } from 'parse-prometheus-text-format'
import type { EngineName } from '#core/endpoint.ts'
import { engineProfiles } from '#scraper/engines.ts'
import { PageReader } from '#scraper/page-reader.ts'
import type { SimOptions } from '#sim/options.ts'
import { type Sim, startSim } from '#sim/server.ts'
import { openRaw, until } from '#sim/test-client.ts'

interface Case {
  readonly name: string
  readonly options: SimOptions & { readonly engine: EngineName }
  readonly path?: string
  /** What the page does not tell. */
  readonly lacks?: readonly ('kvUse' | 'blockSize' | 'blockCount')[]
}

const cases: readonly Case[] = [
  { name: 'vLLM', options: { engine: 'vllm' } },
  { name: 'vLLM with two ranks', options: { engine: 'vllm', ranks: 2, maxNumSeqs: 1 } },
  { name: 'vLLM up to 0.8', options: { engine: 'vllm', vllmMetrics: 'old' } },
  { name: 'SGLang', options: { engine: 'sglang' } },
  { name: 'TGI', options: { engine: 'tgi' }, lacks: ['blockSize', 'blockCount'] },
  { name: 'Triton', options: { engine: 'triton' } },
  { name: 'trtllm-serve', options: { engine: 'trtllm' }, path: '/prometheus/metrics' },
  { name: 'llama.cpp', options: { engine: 'llamacpp' }, lacks: ['kvUse', 'blockSize', 'blockCount'] },
]

/** A server with two requests that run and one that waits. */
async function withBusySim(options: SimOptions, run: (sim: Sim) => Promise<void>): Promise<void> {
  const size = { maxNumSeqs: 2, kvBlocks: 100, blockSize: 4, maxModelLen: 256 }
  const sim = await startSim({ models: ['tiny'], ttftMs: 1, tpotMs: 20, ...size, ...options })
  try {
    const body = { model: 'tiny', prompt: 'one two three four', max_tokens: 100 }
    const sockets = await Promise.all([1, 2, 3].map(() => openRaw(sim, '/v1/completions', body)))
    await until(() => sim.stats().running === 2 && sim.stats().waiting === 1, 'busy')
    await run(sim)
    for (const socket of sockets) socket.destroy()
  } finally {
    await sim.close()
  }
}

for (const { name, options, path = '/metrics', lacks = [] } of cases) {
  test(`the page of ${name} is read by the gateway and by a library`, () =>
    withBusySim(options, async (sim) => {
      const page = await (await fetch(sim.url + path)).text()
      const reader = new PageReader(engineProfiles[options.engine])
      reader.open(Buffer.from(page))
      const { running, waiting, kvUse, blockSize, blockCount } = reader.read(undefined)
      assert.deepEqual({ running, waiting }, { running: 2, waiting: 1 })
      assert.equal(kvUse > 0 && kvUse <= 1, !lacks.includes('kvUse'), `kvUse ${kvUse}`)
      if (!lacks.includes('blockSize')) assert.equal(blockSize, 4)
      if (!lacks.includes('blockCount')) assert.equal(blockCount, 100 * (options.ranks ?? 1))

      const families = parsePage(page)
      const typed = [...page.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, family, type]) => `${family} ${type}`)
      const parsed = families.map((family) => `${family.name} ${family.type.toLowerCase()}`)
      assert.deepEqual(parsed.toSorted(), typed.toSorted())
      for (const family of families) {
        for (const metric of family.metrics) assert.ok(hasNumbers(metric), `${family.name}: ${JSON.stringify(metric)}`)
      }
    }))
}

/** Whether a parsed sample has the numbers of its type; of histograms the library keeps the buckets only when they have labels. */
function hasNumbers({ value, buckets, count, sum }: ParsedMetric): boolean {
  if (value !== undefined) return !Number.isNaN(Number(value))
  if (buckets === undefined) return Number(count) >= 0 && Number(sum) >= 0
  const counts = Object.entries(buckets)
    .toSorted(([a], [b]) => boundOf(a) - boundOf(b))
    .map(([, text]) => Number(text))
  return counts.length > 1 && counts.every((each, i) => each >= (counts[i - 1] ?? 0))
}

function boundOf(text: string): number {
  return text === '+Inf' ? Number.POSITIVE_INFINITY : Number(text)
}
