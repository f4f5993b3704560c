import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Fleet, modelOn, quick, withFleet } from './support/fleet.ts'
import { sleep, waitFor } from './support/wait.ts'

const path = '/v1/chat/completions'

function ask(fleet: Fleet, members: Readonly<Record<string, unknown>>, signal?: AbortSignal): Promise<Response> {
  return fetch(`${fleet.gateway.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'tiny', messages: [{ role: 'user', content: 'x' }], max_tokens: 2, ...members }),
    ...(signal === undefined ? {} : { signal }),
  })
}

async function assertShed(response: Response): Promise<void> {
  assert.equal(response.status, 503)
  assert.equal(response.headers.get('x-infer-reason'), 'overloaded')
  assert.match(response.headers.get('retry-after') ?? '', /^[1-9]$/)
  const { error } = (await response.json()) as { error: { code: string; type: string } }
  assert.deepEqual([error.code, error.type], ['overloaded', 'server_error'])
}

test('short of memory the gateway finishes what it has, refuses what is new, and never closes for good', () => {
  const config = (sims: Fleet['sims']) => ({ models: { tiny: modelOn(sims) }, limits: { memory: '64MiB' } })
  return withFleet({ sims: [{ ...quick, tpotMs: 20 }], config }, async (fleet) => {
    const shedding = async (): Promise<number> =>
      (await fleet.gateway.metrics()).sum('infer_gateway_shedding', { cause: 'memory' })
    // Node itself takes more than that.
    await waitFor('guard', async () => (await shedding()) > 0)
    const stream = await ask(fleet, { stream: true, max_tokens: 60 })
    assert.equal(stream.status, 200, 'the only request is taken')
    await assertShed(await ask(fleet, {}))
    const models = await fetch(`${fleet.gateway.url}/v1/models`)
    assert.equal(models.status, 200, 'what costs nothing is answered')
    const ready = await fetch(`${fleet.gateway.adminUrl}/readyz`)
    assert.equal(ready.status, 200)
    assert.match(await stream.text(), /data: \[DONE\]\n\n$/)
    await waitFor('end of the stream', async () => (await fleet.gateway.underWay()) === 0)
    assert.equal((await ask(fleet, {})).status, 200)
    const page = await fleet.gateway.metrics()
    assert.equal(page.sum('infer_gateway_refusals_total', { reason: 'overloaded' }), 1)
  })
})

test('a thread that lags sheds new requests without reading their bodies, and takes them again when it keeps up', () => {
  const config = (sims: Fleet['sims']) => ({ models: { tiny: modelOn(sims) }, limits: { eventLoopDelay: '5ms' } })
  return withFleet({ config }, async (fleet) => {
    const content = 'a "quoted" word \n'.repeat(200_000)
    const statuses = new Map<number, number>()
    let isShed = false
    const untilMs = performance.now() + 20_000
    const client = async (): Promise<void> => {
      while (!isShed && performance.now() < untilMs) {
        const response = await ask(fleet, { messages: [{ role: 'user', content }] }).catch(() => undefined)
        // A refusal before the end of the body may be lost when the client goes on sending: undici then only sees the end.
        if (response === undefined) continue
        statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1)
        if (response.status !== 503) await response.arrayBuffer()
        else {
          await assertShed(response)
          isShed = true
        }
      }
    }
    await Promise.all(Array.from({ length: 12 }, client))
    assert.ok(isShed, `nothing was shed: ${JSON.stringify([...statuses])}`)
    await waitFor('a gateway that takes requests again', async () => {
      await sleep(50)
      return (await ask(fleet, {})).status === 200
    })
  })
})
