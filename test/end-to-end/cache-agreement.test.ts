import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Sim, startSim } from '#sim/server.ts'
import { CacheTraffic, type HitShares, type Served } from './support/cache-traffic.ts'
import { type Fleet, modelOn, quick, withFleet } from './support/fleet.ts'
import { freePorts } from './support/ports.ts'
import { runMany, waitFor } from './support/wait.ts'

// The default profile, without KV events: what the gateway believes of caches is what it has sent where.

const points = 0.05

function assertAgrees({ foretold, counted, tokens }: HitShares, what: string): void {
  const text = `${what}: ${foretold.toFixed(3)} foretold, ${counted.toFixed(3)} counted, ${tokens} tokens`
  assert.ok(Math.abs(foretold - counted) <= points, text)
}

interface Plan {
  /** KV blocks of 16 tokens of one engine. */
  readonly kvBlocks: number
  readonly adapters?: readonly (readonly string[])[]
}

interface Scene {
  readonly traffic: CacheTraffic
  readonly gateway: Fleet['gateway']
  /** Those that run now, by place. */
  readonly sims: Sim[]
  /** Ends the engine at a place, and starts another there when the rest has been done. */
  restart(place: number, meanwhile?: () => Promise<unknown>): Promise<void>
}

/** Four engines behind a gateway. */
async function withFour({ kvBlocks, adapters = [] }: Plan, use: (scene: Scene) => Promise<void>): Promise<void> {
  const ports = [await freePorts.take(), await freePorts.take(), await freePorts.take(), await freePorts.take()]
  const options = ports.map((port, i) => ({ ...quick, port, kvBlocks, adapters: adapters[i] ?? [] }))
  const again: Sim[] = []
  const config = (all: readonly Sim[]) => ({
    exposeEndpoint: true,
    models: { tiny: modelOn(all, { adapters: [...new Set(adapters.flat())] }) },
  })
  try {
    await withFleet({ sims: options, config }, async ({ gateway, sims: first }) => {
      const sims = [...first]
      const traffic = new CacheTraffic(gateway, () => sims)
      const isReady = async () => (await gateway.status()).endpoints.every(({ health }) => health === 'ready')
      await waitFor('ready endpoints', isReady)
      const restart = async (place: number, meanwhile = async () => {}): Promise<void> => {
        const sim = sims[place]
        assert.ok(sim)
        // What it has counted must have been read, or nothing tells that it counts from 0 again.
        const nowMs = performance.now()
        const isRead = async () =>
          (await gateway.status()).endpoints.every(
            ({ scrapeAgeMs = Infinity }) => scrapeAgeMs + 20 < performance.now() - nowMs,
          )
        await waitFor('scrapes', isRead)
        await traffic.ends(sim)
        sims.splice(place, 1)
        await sim.close()
        await meanwhile()
        const next = await startSim(options[place])
        again.push(next)
        sims.splice(place, 0, next)
        await waitFor('ready endpoints', isReady, 10_000)
      }
      await use({ traffic, gateway, sims, restart })
    })
  } finally {
    await Promise.all(again.map((sim) => sim.close()))
  }
}

/** Chats of several tenants, whose requests begin alike; a few at a time. */
async function tenants(traffic: CacheTraffic, systems: readonly string[], requests: number): Promise<Served[]> {
  return runMany(requests, 4, () =>
    traffic.chat([
      { role: 'system', content: traffic.oneOf(systems) },
      { role: 'user', content: traffic.words(20) },
    ]),
  )
}

const forgotten = 'what an endpoint had cached is taken to be gone'

describe('what the gateway believes of caches and what the engines count', { timeout: 180_000 }, () => {
  test('agree within 5 points while everything fits', () =>
    withFour({ kvBlocks: 4000 }, async ({ traffic }) => {
      const systems = Array.from({ length: 12 }, () => traffic.words(400))
      const shares = await traffic.sharesOf(() => tenants(traffic, systems, 150))
      assert.ok(shares.counted > 0.6, `${shares.counted}`)
      assertAgrees(shares, 'tenants')
    }))

  test('agree within 5 points while engines evict', () =>
    // 40 beginnings of 700 tokens, room for 6 at each of four engines.
    withFour({ kvBlocks: 280 }, async ({ traffic }) => {
      const systems = Array.from({ length: 40 }, () => traffic.words(400))
      await tenants(traffic, systems, 60)
      const shares = await traffic.sharesOf(() => tenants(traffic, systems, 250))
      assert.ok(shares.counted < 0.9, `${shares.counted}`)
      assertAgrees(shares, 'tenants')
    }))

  test('agree within 5 points for conversations, whose turns stay together', () =>
    withFour({ kvBlocks: 4000 }, async ({ traffic }) => {
      let turns = 0
      let stayed = 0
      const shares = await traffic.sharesOf(() =>
        runMany(12, 4, async () => {
          const served = await traffic.conversation(traffic.words(200), 5)
          turns += served.length - 1
          stayed += served.filter(({ endpoint }, i) => i > 0 && endpoint === served[i - 1]?.endpoint).length
        }),
      )
      assert.ok(stayed / turns > 0.9, `${stayed} of ${turns}`)
      assert.ok(shares.counted > 0.5, `${shares.counted}`)
      assertAgrees(shares, 'conversations')
    }))

  test('agree within 5 points when an engine dies under load and comes back with an empty cache', () =>
    withFour({ kvBlocks: 4000 }, async ({ traffic, gateway, sims, restart }) => {
      const systems = Array.from({ length: 12 }, () => traffic.words(400))
      await tenants(traffic, systems, 60)
      const url = new URL(sims[1]?.url ?? '').host
      const told = () => gateway.logLines.filter(({ endpoint, msg }) => endpoint === url && msg === forgotten).length
      const before = told()
      // Nothing is asked in the moment it goes: what it had counted of that would be lost.
      await restart(1, async () => void (await tenants(traffic, systems, 40)))
      await waitFor('an empty cache', () => told() > before)
      const shares = await traffic.sharesOf(async () => {
        // Prompts of former tenants are cached elsewhere by now; new ones go to the empty engine, too.
        const newcomers = Array.from({ length: 24 }, () => traffic.words(400))
        const served = await tenants(traffic, [...systems, ...newcomers], 200)
        assert.ok(served.some(({ endpoint }) => endpoint === url))
      })
      assertAgrees(shares, 'afterwards')
    }))
})

test('a restart that no scrape has missed is told by what the engine counts', { timeout: 60_000 }, () =>
  withFour({ kvBlocks: 4000 }, async ({ traffic, gateway, sims, restart }) => {
    const messages = [{ role: 'user', content: traffic.words(400) }] as const
    const first = await traffic.chat(messages)
    const second = await traffic.chat(messages)
    assert.equal(second.endpoint, first.endpoint)
    assert.ok(second.cached > 0.9 * second.prompt)
    const place = sims.findIndex(({ url }) => url.endsWith(first.endpoint))
    const told = () =>
      gateway.logLines.filter(({ endpoint, msg }) => endpoint === first.endpoint && msg === forgotten).length
    const before = told()
    await restart(place)
    await waitFor('an empty cache', () => told() > before)
    const shares = await traffic.sharesOf(async () => assert.equal((await traffic.chat(messages)).cached, 0))
    assert.deepEqual([shares.foretold, shares.counted], [0, 0])
    assert.ok((await traffic.chat(messages)).cached > 0)
  }),
)

test('adapters are served where they are, and together', { timeout: 60_000 }, () =>
  withFour({ kvBlocks: 4000, adapters: [['sql'], ['sql', 'law'], ['law'], []] }, async ({ traffic, gateway, sims }) => {
    const hosts = sims.map(({ url }) => new URL(url).host)
    const knows = async (): Promise<boolean> =>
      (await gateway.status()).endpoints.every(({ adapters }, i) => adapters.length === [1, 2, 1, 0][i])
    await waitFor('adapters', knows, 20_000)
    for (const [model, holders] of [
      ['sql', [0, 1]],
      ['law', [1, 2]],
    ] as const) {
      const served = await runMany(24, 4, () => traffic.chat([{ role: 'user', content: traffic.words(30) }], { model }))
      const places = new Set(served.map(({ endpoint }) => hosts.indexOf(endpoint)))
      assert.ok(
        [...places].every((place) => holders.some((holder) => holder === place)),
        [...places].join(),
      )
    }
  }),
)
