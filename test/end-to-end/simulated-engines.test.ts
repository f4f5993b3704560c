import assert from 'node:assert/strict'
import { test } from 'node:test'
import OpenAI from 'openai'
import type { EngineName } from '#sim/options.ts'
import { modelOn, withFleet } from './support/fleet.ts'
import { waitFor } from './support/wait.ts'

/** Engines, with what their configuration needs besides the address. */
const engines: readonly {
  readonly engine: EngineName
  readonly hasUsage?: false
  readonly metricsOnMainPort?: true
}[] = [
  { engine: 'vllm' },
  { engine: 'sglang' },
  { engine: 'tgi' },
  // A real Triton has its metrics page on a port of its own, 8002 by default.
  { engine: 'triton', hasUsage: false, metricsOnMainPort: true },
  { engine: 'trtllm' },
  { engine: 'llamacpp' },
]

const messages = [{ role: 'user' as const, content: 'Name a colour.' }]

for (const { engine, hasUsage = true, metricsOnMainPort } of engines) {
  test(`the gateway serves and scrapes a simulated ${engine}`, () =>
    withFleet(
      {
        sims: [{ engine, maxNumSeqs: 1, tpotMs: 20 }],
        config: (sims) => {
          const scrape = metricsOnMainPort === true ? { scrape: { port: sims[0]?.port } } : {}
          return { models: { tiny: modelOn(sims, scrape) } }
        },
      },
      async ({ gateway, sim }) => {
        const client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: 'none', maxRetries: 0 })
        const endpoint = async () => (await gateway.status()).endpoints[0]
        await waitFor('ready endpoint', async () => (await endpoint())?.health === 'ready')

        const request = { model: 'tiny', messages, max_tokens: 8 }
        const whole = await client.chat.completions.create(request, { headers: { 'x-request-id': 'whole' } })
        const text = whole.choices[0]?.message.content ?? ''
        const options = { headers: { 'x-request-id': 'streamed' } }
        let streamed = ''
        for await (const chunk of await client.chat.completions.create({ ...request, stream: true }, options)) {
          streamed += chunk.choices[0]?.delta.content ?? ''
        }
        assert.equal(streamed, text)
        for (const id of ['whole', 'streamed']) {
          const line = await gateway.accessLine(id)
          assert.equal(line.status, 200)
          if (hasUsage) assert.equal(line.output_tokens, 8)
        }

        const controller = new AbortController()
        const long = { ...request, max_tokens: 400, stream: true } as const
        const calls = [1, 2].map(() =>
          client.chat.completions.create(long, { signal: controller.signal }).catch(() => {}),
        )
        await waitFor('load on the status page', async () => {
          const report = await endpoint()
          return report?.running === 1 && report.waiting === 1
        })
        assert.equal((await endpoint())?.scrapeError, undefined)
        controller.abort()
        await Promise.all(calls)
        await waitFor('idle engine', () => sim.stats().running + sim.stats().waiting === 0)
      },
    ))
}
