import assert from 'node:assert/strict'
import { test } from 'node:test'
import { manualClock } from '#core/manual-clock.ts'
import { DnsResolver } from './dns-resolver.ts'

/** A resolver with names that can be changed. */
function resolver(initial: Record<string, readonly string[] | Error>) {
  const clock = manualClock()
  const records = { ...initial }
  const log: string[] = []
  const dns = new DnsResolver({
    clock,
    async lookup(name) {
      log.push(`look up ${name}`)
      const found = records[name] ?? new Error('ENOTFOUND')
      if (found instanceof Error) throw found
      return found
    },
    onChange: () => log.push('change'),
    onFailure: (name, error) => log.push(`${name}: ${(error as Error).message}`),
  })
  /** Moves time, lets look-ups finish, and returns what happened. */
  const after = async (ms: number): Promise<string[]> => {
    clock.advance(ms)
    await new Promise((resolve) => setImmediate(resolve))
    return log.splice(0)
  }
  return { clock, records, dns, after }
}

test('a name is looked up at once and then at its interval; a change is told, the same in another order is not', async () => {
  const { dns, records, after } = resolver({ gpu: ['10.0.0.2', '10.0.0.1'] })
  await dns.follow([{ name: 'gpu', intervalMs: 1000 }])
  assert.deepEqual(dns.addresses('gpu'), ['10.0.0.1', '10.0.0.2'])
  assert.deepEqual(await after(999), ['look up gpu'])
  records.gpu = ['10.0.0.1', '10.0.0.2']
  assert.deepEqual(await after(1), ['look up gpu'])
  records.gpu = ['10.0.0.3']
  assert.deepEqual(await after(1000), ['look up gpu', 'change'])
  assert.deepEqual(dns.addresses('gpu'), ['10.0.0.3'])
  dns.close()
})

test('a name that fails or has no addresses keeps those it had', async () => {
  const { dns, records, after } = resolver({ gpu: ['10.0.0.1'] })
  await dns.follow([{ name: 'gpu', intervalMs: 1000 }])
  await after(0)
  records.gpu = new Error('SERVFAIL')
  assert.deepEqual(await after(1000), ['look up gpu', 'gpu: SERVFAIL'])
  records.gpu = []
  assert.deepEqual(await after(1000), ['look up gpu'])
  assert.deepEqual(dns.addresses('gpu'), ['10.0.0.1'])
  dns.close()
})

test('a name that could not be looked up at first is a change once it can', async () => {
  const { dns, records, after } = resolver({})
  await dns.follow([{ name: 'gpu', intervalMs: 1000 }])
  assert.deepEqual(dns.addresses('gpu'), [])
  assert.deepEqual(await after(0), ['look up gpu', 'gpu: ENOTFOUND'])
  records.gpu = ['10.0.0.1']
  assert.deepEqual(await after(1000), ['look up gpu', 'change'])
  dns.close()
})

test('names no longer followed are forgotten, and a closed resolver is silent', async () => {
  const { clock, dns, after } = resolver({ a: ['1.1.1.1'], b: ['2.2.2.2'] })
  await dns.follow([
    { name: 'a', intervalMs: 1000 },
    { name: 'b', intervalMs: 1000 },
  ])
  await dns.follow([{ name: 'b', intervalMs: 500 }])
  assert.deepEqual(dns.addresses('a'), [])
  assert.deepEqual(await after(1000), ['look up a', 'look up b', 'look up b'])
  dns.close()
  assert.equal(clock.pending(), 0)
  assert.deepEqual(await after(5000), [])
})
