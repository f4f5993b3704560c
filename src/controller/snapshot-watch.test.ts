import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { manualClock } from '#core/manual-clock.ts'
import { certificateA } from '#datastore/certificate-case.ts'
import type { LoadResult } from './load-snapshot.ts'
import { SnapshotWatch } from './snapshot-watch.ts'
import { testPlugins, testProfile } from './translate-case.ts'

/** A watched file in a directory of its own, with a clock and addresses in the hand of the test. */
function watched(t: TestContext, text: string, env: Record<string, string> = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'snapshot-'))
  const file = join(directory, 'gw.yaml')
  writeFileSync(file, text)
  const clock = manualClock()
  const loads: LoadResult[] = []
  const addresses: Record<string, readonly string[]> = {}
  const watch = new SnapshotWatch(file, {
    clock,
    env,
    plugins: testPlugins,
    defaultProfile: testProfile,
    files: { watchDirectory: () => ({ close() {} }) },
    lookup: async (name) => addresses[name] ?? Promise.reject(new Error('ENOTFOUND')),
    onLoad: (result) => loads.push(result),
  })
  t.after(() => {
    watch.close()
    rmSync(directory, { recursive: true })
  })
  /** Moves time by a poll and returns what was loaded. */
  const after = async (ms: number): Promise<LoadResult[]> => {
    clock.advance(ms)
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve))
    return loads.splice(0)
  }
  const write = (name: string, content: string): void => writeFileSync(join(directory, name), content)
  return { watch, after, write, addresses, directory }
}

const good = (host: string): string => `models: { m: { endpoints: ["http://${host}:80"] } }`

function hosts(result: LoadResult | undefined): string[] | undefined {
  return result?.ok === true
    ? result.snapshot.modelServers.flatMap((one) => one.endpoints.map(({ host }) => host))
    : undefined
}

test('a good change is told with its snapshot, a bad one with its problems, and the repair again', async (t) => {
  const { watch, after, write } = watched(t, good('a'))
  assert.deepEqual(hosts(await watch.start()), ['a'])
  assert.deepEqual(await after(2000), [])
  write('gw.yaml', good('bb'))
  assert.deepEqual((await after(2000)).map(hosts), [['bb']])
  write('gw.yaml', 'models: { m: { endpoint: [] } }')
  const [bad] = await after(2000)
  assert.ok(bad?.ok === false)
  assert.equal(bad.problems[0]?.message, "unknown key 'endpoint'")
  write('gw.yaml', good('ccc'))
  assert.deepEqual((await after(2000)).map(hosts), [['ccc']])
})

test('certificates are followed, also one that was missing', async (t) => {
  const tls = 'listeners: [{ port: 1, tls: { certFile: c.pem, keyFile: k.pem } }]'
  const { watch, after, write } = watched(t, tls)
  write('k.pem', certificateA.key)
  const first = await watch.start()
  assert.ok(!first.ok)
  assert.deepEqual(
    first.files.map((file) => file.split('/').at(-1)),
    ['gw.yaml', 'c.pem', 'k.pem'],
  )
  write('c.pem', certificateA.cert)
  const [second] = await after(2000)
  assert.ok(second?.ok)
  write('c.pem', `${certificateA.cert}22`)
  const [third] = await after(2000)
  assert.ok(third?.ok && third.snapshot.listeners[0]?.tls?.certificates[0]?.cert.endsWith('22'))
})

test('addresses of a DNS name are endpoints, and follow it even while the file is broken', async (t) => {
  const { watch, after, write, addresses } = watched(
    t,
    'models: { m: { endpoints: [{ dns: { name: gpu, port: 80, interval: 1s } }] } }',
  )
  addresses.gpu = ['10.0.0.1']
  assert.deepEqual(hosts(await watch.start()), ['10.0.0.1'])
  addresses.gpu = ['10.0.0.1', '10.0.0.2']
  assert.deepEqual((await after(1000)).map(hosts), [['10.0.0.1', '10.0.0.2']])
  write('gw.yaml', 'models: [')
  const [bad] = await after(1000)
  assert.equal(bad?.ok, false)
  addresses.gpu = ['10.0.0.3']
  assert.deepEqual((await after(1000)).map(hosts), [['10.0.0.3']])
})

test('a reload that is asked for while one is running is one more, and none after the close', async (t) => {
  const { watch, after, write } = watched(t, good('a'))
  const start = watch.start()
  write('gw.yaml', good('bb'))
  watch.reload()
  watch.reload()
  assert.deepEqual(hosts(await start), ['a'])
  assert.deepEqual((await after(0)).map(hosts), [['bb']])
  watch.close()
  watch.reload()
  write('gw.yaml', good('c'))
  assert.deepEqual(await after(5000), [])
})
