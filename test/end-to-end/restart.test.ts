import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Fleet, modelOn, quick, withFleet } from './support/fleet.ts'
import { freePorts } from './support/ports.ts'
import { postBytes, RawClient } from './support/raw-client.ts'
import { splitEvents } from './support/sse.ts'
import { SteadyLoad } from './support/steady-load.ts'
import { sleep, waitFor } from './support/wait.ts'

const restartLimitMs = 20_000

/** A fleet whose gateway writes down which process serves. */
async function withReplaceable(
  config: (sims: Fleet['sims']) => Readonly<Record<string, unknown>>,
  check: (fleet: Fleet, process: Serving) => Promise<void>,
): Promise<void> {
  const pidFile = join(tmpdir(), `infer-gateway-restart-${process.pid}-${await freePorts.take()}.pid`)
  const plan = { sims: [{ ...quick, tpotMs: 20 }, quick], config, start: { args: ['--pid-file', pidFile] } }
  await withFleet(plan, async (fleet) => {
    const serving = new Serving(pidFile)
    try {
      await check(fleet, serving)
    } catch (error) {
      throw new Error(`the gateway said:\n${fleet.gateway.stderr}`, { cause: error })
    } finally {
      await serving.end()
    }
  })
}

/** The process that serves, whichever it is. */
class Serving {
  readonly #pidFile: string

  constructor(pidFile: string) {
    this.#pidFile = pidFile
  }

  get pid(): number {
    return Number(readFileSync(this.#pidFile, 'utf8'))
  }

  /** Has it replaced; resolves with the new process when that serves and the old one has gone. */
  async replace(): Promise<number> {
    const before = this.pid
    process.kill(before, 'SIGUSR2')
    const after = await waitFor('another process', () => this.pid !== before && this.pid, restartLimitMs)
    await waitFor('end of the process before', () => !isAlive(before), restartLimitMs)
    return after
  }

  async end(): Promise<void> {
    if (!existsSync(this.#pidFile)) return
    const { pid } = this
    process.kill(pid, 'SIGTERM')
    await waitFor('end of the gateway', () => !isAlive(pid), restartLimitMs)
  }
}

/** The sockets that a process holds, each as often as it holds it. */
function socketsOf(pid: number): string[] {
  const links = readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`)
    } catch {
      return ''
    }
  })
  return links.filter((link) => link.startsWith('socket:'))
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    // A process that has ended and that nobody has waited for yet is still there in name.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

const models = (sims: Fleet['sims']) => ({ tiny: modelOn(sims) })

test('restarts under load fail no request: new connections, kept ones and streams', () =>
  withReplaceable(
    (sims) => ({ threads: 2, models: models(sims) }),
    async ({ gateway }, serving) => {
      const pids = [serving.pid]
      const load = new SteadyLoad(gateway.port, 4)
      await sleep(1000)
      for (let restarts = 0; restarts < 3; restarts++) {
        pids.push(await serving.replace())
        await sleep(500)
      }
      await load.stop()
      assert.deepEqual(load.failures, [])
      for (const [kind, { requests }] of Object.entries(load.counts)) assert.ok(requests > 20, `${requests} ${kind}`)
      assert.equal(new Set(pids).size, 4)
      await waitFor('lines of all requests', () => gateway.accessLines.length >= load.requests)
    },
  ))

test('another number of threads takes over every socket of the one before', () =>
  withReplaceable(
    (sims) => ({ threads: 3, models: models(sims) }),
    async ({ gateway, sims }, serving) => {
      const load = new SteadyLoad(gateway.port, 2)
      for (const threads of [1, 4, 2]) {
        gateway.rewrite({ threads, models: models(sims) })
        await serving.replace()
        assert.equal((await gateway.status()).threads.length, threads)
        const sockets = socketsOf(serving.pid)
        assert.equal(new Set(sockets).size, sockets.length, 'a socket that is open twice is never closed')
      }
      await load.stop()
      assert.deepEqual(load.failures, [])
    },
  ))

test('a stream that began before the restart ends in the old process, as long as it takes', () =>
  withReplaceable(
    (sims) => ({ models: { tiny: modelOn(sims.slice(0, 1)) } }),
    async ({ gateway, sim }, serving) => {
      const client = await RawClient.connect(gateway.port)
      const messages = [{ role: 'user', content: 'hello' }]
      const body = JSON.stringify({ model: 'tiny', messages, max_tokens: 200, stream: true })
      client.write(postBytes('/v1/chat/completions', Buffer.from(body)))
      await waitFor('tokens', () => sim.stats().outputTokens > 2)
      const [response] = await Promise.all([client.response(), serving.replace()])
      const { events } = splitEvents(response.body.toString())
      assert.equal(events.length, 202)
      assert.equal(events.at(-1)?.data, '[DONE]')
      client.close()
    },
  ))

test('a configuration that cannot be loaded leaves the process that serves in its place', () =>
  withReplaceable(
    (sims) => ({ models: models(sims) }),
    async ({ gateway }, serving) => {
      const { pid } = serving
      gateway.rewrite('models: [')
      process.kill(pid, 'SIGUSR2')
      const line = await waitFor(
        'report',
        () => gateway.logLines.find(({ msg }) => String(msg).startsWith('the other process did not take over')),
        restartLimitMs,
      )
      assert.match(String(line.reason), /exit code 1/)
      assert.match(gateway.stderr, /gateway\.yaml/)
      assert.equal(serving.pid, pid)
      const load = new SteadyLoad(gateway.port, 1)
      await sleep(200)
      await load.stop()
      assert.deepEqual(load.failures, [])
    },
  ))

test('a listener that is added at the moment of the restart is opened by one of the two', () =>
  withReplaceable(
    (sims) => ({ models: models(sims) }),
    async ({ gateway, sims }, serving) => {
      const second = await freePorts.take()
      const first = { name: 'main', address: '127.0.0.1', port: gateway.port }
      gateway.rewrite({ models: models(sims), listeners: [first, { name: 'two', address: '127.0.0.1', port: second }] })
      await serving.replace()
      assert.equal(await isOpen(second), true)
      assert.equal(await isOpen(gateway.port), true)
    },
  ))

test('a listener that the new configuration does not have is closed', () =>
  withReplaceable(
    (sims) => ({ models: models(sims) }),
    async ({ gateway, sims }, serving) => {
      const second = await freePorts.take()
      const first = { name: 'main', address: '127.0.0.1', port: gateway.port }
      gateway.rewrite({ models: models(sims), listeners: [first, { name: 'two', address: '127.0.0.1', port: second }] })
      await waitFor('second listener', () => isOpen(second))
      // The watch of the old process may see this change first, or the new process: both close the listener.
      writeFileSync(gateway.configFile, gateway.configText({ models: models(sims), listeners: [first] }))
      await serving.replace()
      assert.equal(await isOpen(second), false)
      assert.equal(await isOpen(gateway.port), true)
    },
  ))

async function isOpen(port: number): Promise<boolean> {
  try {
    const client = await RawClient.connect(port)
    client.close()
    return true
  } catch {
    return false
  }
}
