import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CacheTraffic } from './support/cache-traffic.ts'
import { modelOn, quick, withFleet } from './support/fleet.ts'
import { runMany, waitFor } from './support/wait.ts'

const sims = [1, 2, 3, 4].map(() => ({ ...quick, kvBlocks: 4000 }))

test(
  'prompts with different cache salts are not taken for shared, as engines do not share them',
  { timeout: 60_000 },
  () =>
    withFleet({ sims, config: (all) => ({ exposeEndpoint: true, models: { tiny: modelOn(all) } }) }, async (fleet) => {
      const { gateway } = fleet
      const isReady = async () => (await gateway.status()).endpoints.every(({ health }) => health === 'ready')
      await waitFor('ready endpoints', isReady)
      const traffic = new CacheTraffic(gateway, () => fleet.sims)
      const system = traffic.words(800)
      const salts = Array.from({ length: 12 }, (_, i) => `tenant-${i}`)
      const ask = (salt?: string) =>
        traffic.chat(
          [
            { role: 'system', content: system },
            { role: 'user', content: traffic.words(20) },
          ],
          salt === undefined ? {} : { cache_salt: salt },
        )
      assert.equal((await ask()).cached, 0)
      assert.ok((await ask()).cached > 1000)
      const alone = await traffic.sharesOf(async () => {
        for (const salt of salts) assert.equal((await ask(salt)).cached, 0, salt)
      })
      assert.deepEqual([alone.foretold, alone.counted], [0, 0])
      const { foretold, counted } = await traffic.sharesOf(() => runMany(100, 4, () => ask(traffic.oneOf(salts))))
      assert.ok(Math.abs(foretold - counted) <= 0.05, `${foretold} foretold, ${counted} counted`)
      assert.ok(counted > 0.8, `${counted}`)
      // Each tenant's prompt is on as few endpoints as its requests need.
      const metrics = await gateway.metrics()
      const requests = metrics.sum('infer_gateway_prefix_copies_count')
      const copies = metrics.sum('infer_gateway_prefix_copies_sum') / requests
      assert.equal(requests, 101)
      assert.ok(copies >= 1 && copies < 2, `${copies}`)
    }),
)
