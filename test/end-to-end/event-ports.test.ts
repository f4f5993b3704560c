import assert from 'node:assert/strict'
import { test } from 'node:test'
import { modelOn, quick, withFleet } from './support/fleet.ts'
import { freePorts } from './support/ports.ts'
import { waitFor } from './support/wait.ts'

test('a gateway learns from its engines where they publish their KV events', { timeout: 60_000 }, async () => {
  const ports = [await freePorts.take(), await freePorts.take(), await freePorts.take()]
  const [first = 0, firstReplay = 0, second = 0] = ports
  await withFleet(
    {
      sims: [
        { ...quick, kvEvents: { port: first, replayPort: firstReplay } },
        { ...quick, kvEvents: { port: second } },
        { ...quick, engine: 'vllm' },
      ],
      config: (sims) => ({ models: { tiny: modelOn(sims, { kvEvents: { discover: true } }) } }),
    },
    async ({ gateway }) => {
      const events = async () => (await gateway.status()).endpoints.map(({ kvEvents }) => kvEvents)
      await waitFor('events', async () => (await events())[0]?.state === 'live')
      await waitFor('events', async () => (await events())[1]?.state !== 'broken')
      const [, , third] = await events()
      assert.equal(third?.state, 'broken')
      assert.match(third?.reason ?? '', /publishes no events/)
    },
  )
})
