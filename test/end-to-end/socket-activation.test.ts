import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { startSim } from '#sim/server.ts'
import { quick } from './support/fleet.ts'
import { freePorts } from './support/ports.ts'
import { postBytes, RawClient } from './support/raw-client.ts'
import { runMany, waitFor } from './support/wait.ts'

const root = join(import.meta.dirname, '..', '..')

/**
 * What systemd does for a socket unit: opens the sockets, puts them at descriptors from 3 on, says so in the
 * environment of the process that it becomes.
 */
const activator = `
import os, socket, sys
names, reuse, ports, command = sys.argv[1], sys.argv[2] == 'reuse', sys.argv[3].split(','), sys.argv[4:]
for at, port in enumerate(ports):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuse: s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.bind(('127.0.0.1', int(port)))
    s.listen(128)
    os.dup2(s.fileno(), 100 + at, inheritable=True)
    s.detach()
for at in range(len(ports)):
    os.dup2(100 + at, 3 + at, inheritable=True)
    os.close(100 + at)
os.environ.update(LISTEN_FDS=str(len(ports)), LISTEN_PID=str(os.getpid()))
if names: os.environ['LISTEN_FDNAMES'] = names
os.execv(command[0], command)
`

interface Activation {
  /** `LISTEN_FDNAMES`; '' leaves it out. */
  readonly names: string
  readonly sharesPort: boolean
  readonly ports: readonly number[]
  readonly listeners: readonly { readonly name: string; readonly port: number }[]
  readonly threads: number
  readonly adminPort: number
}

/** A gateway that was given its sockets. */
class Activated {
  stderr = ''
  readonly child: ChildProcess

  constructor(child: ChildProcess) {
    this.child = child
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text
    })
  }
}

async function withActivated(activation: Activation, check: (gateway: Activated) => Promise<void>): Promise<void> {
  const { names, sharesPort, ports, listeners, threads, adminPort } = activation
  const directory = mkdtempSync(join(tmpdir(), 'infer-gateway-activation-'))
  const sim = await startSim(quick)
  const file = join(directory, 'gateway.yaml')
  const config = {
    threads,
    listeners: listeners.map((listener) => ({ address: '127.0.0.1', ...listener })),
    admin: { address: '127.0.0.1', port: adminPort },
    models: { tiny: { engine: 'vllm', endpoints: [sim.url] } },
  }
  writeFileSync(file, JSON.stringify(config))
  const command = [join(root, 'bin', 'infer-gateway'), 'serve', '-c', file]
  const args = ['-c', activator, names, sharesPort ? 'reuse' : 'alone', ports.join(','), ...command]
  const gateway = new Activated(spawn('python3', args, { stdio: ['ignore', 'ignore', 'pipe'] }))
  const { child } = gateway
  try {
    await waitFor('ready gateway', () => isReady(adminPort, gateway), 30_000)
    await check(gateway)
    const closed = once(child, 'close')
    child.kill('SIGTERM')
    await closed
    assert.equal(child.exitCode, 0, gateway.stderr)
  } finally {
    child.kill('SIGKILL')
    await sim.close()
    rmSync(directory, { recursive: true, force: true })
  }
}

async function isReady(adminPort: number, { child, stderr }: Activated): Promise<boolean> {
  if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}\n${stderr}`)
  try {
    return (await fetch(`http://127.0.0.1:${adminPort}/readyz`)).ok
  } catch {
    return false
  }
}

async function ask(port: number): Promise<number> {
  const client = await RawClient.connect(port)
  const messages = [{ role: 'user', content: 'hello' }]
  const body = JSON.stringify({ model: 'tiny', messages, max_tokens: 2 })
  client.write(postBytes('/v1/chat/completions', Buffer.from(body)))
  const { status } = await client.response()
  client.close()
  return status
}

async function answersOf(port: number): Promise<number[]> {
  return [...new Set(await runMany(40, 10, () => ask(port)))]
}

test('sockets of a service manager are found by their names, and all threads serve them', async () => {
  const port = await freePorts.take()
  const adminPort = await freePorts.take()
  const listeners = [{ name: 'web', port }]
  const activation = {
    names: 'admin:web',
    sharesPort: true,
    ports: [adminPort, port],
    listeners,
    threads: 3,
    adminPort,
  }
  await withActivated(activation, async (gateway) => {
    assert.deepEqual(await answersOf(port), [200])
    assert.doesNotMatch(gateway.stderr, /"level":"(warn|error)"/)
    const status = (await (await fetch(`http://127.0.0.1:${adminPort}/status`)).json()) as { threads: unknown[] }
    assert.equal(status.threads.length, 3)
  })
})

test('sockets without names are found by address and port; one that nobody wants is said to be so', async () => {
  const [port = 0, adminPort = 0, spare = 0] = await runMany(3, 1, () => freePorts.take())
  const listeners = [{ name: 'web', port }]
  const activation = { names: '', sharesPort: true, ports: [spare, port], listeners, threads: 2, adminPort }
  await withActivated(activation, async (gateway) => {
    assert.deepEqual(await answersOf(port), [200])
    const warnings = gateway.stderr.split('\n').filter((line) => line.includes('"level":"warn"'))
    assert.equal(warnings.length, 1)
    assert.match(warnings[0] ?? '', /no listener is configured for a socket/)
    assert.match(warnings[0] ?? '', new RegExp(`"port":${spare}\\b`))
  })
})

test('a socket that does not share its port is served by one thread, which is said with what to do', async () => {
  const port = await freePorts.take()
  const adminPort = await freePorts.take()
  const listeners = [{ name: 'web', port }]
  const activation = { names: 'web', sharesPort: false, ports: [port], listeners, threads: 3, adminPort }
  await withActivated(activation, async (gateway) => {
    assert.deepEqual(await answersOf(port), [200])
    assert.match(gateway.stderr, /ReusePort=yes/)
  })
})
