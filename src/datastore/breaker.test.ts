import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { EjectionPlan } from '#config/snapshot.ts'
import { seededRng } from '#core/clock.ts'
import { health } from '#core/endpoint.ts'
import { awaitsProbe, breakerState, clientHash, endpointReturned, freeProbesOf, slowStartShare } from './breaker.ts'
import { attachEndpointTable, createEndpointTable, type EndpointTable, forgetReports } from './endpoint-table.ts'
import { createHeldLeases } from './held-leases.ts'
import { acquire, type Lease } from './lease.ts'
import { ejectionPlan } from './snapshot-case.ts'

const slot = 3
const alice = clientHash('10.0.0.1')
const bob = clientHash('10.0.0.2')

/** One endpoint as seen by several threads; thread 0 is the default. */
class Bench {
  readonly table: EndpointTable
  readonly #threads: readonly EndpointTable[]
  readonly #policy: EjectionPlan

  constructor(given: Partial<EjectionPlan> = {}, threads = 1) {
    this.table = createEndpointTable()
    const { buffer } = this.table
    this.#threads = Array.from({ length: threads }, (_, i) => {
      const held = createHeldLeases(this.table.inFlight.length, i + 1)
      return attachEndpointTable(buffer, held)
    })
    this.#policy = ejectionPlan({ successRatio: 0, ...given })
  }

  lease(thread = 0): Lease {
    const table = this.#threads[thread] ?? this.table
    return acquire(
      table,
      { slot, generation: table.generation[slot] ?? -1 },
      { promptTokens: 10, uncachedTokens: 10 },
      this.#policy,
    )
  }

  /** A request that goes wrong at that moment. */
  fail(nowMs: number, client?: number, thread = 0): void {
    const lease = this.lease(thread)
    lease.failed(nowMs, client)
    lease.release()
  }

  /** A request that goes well at that moment. */
  succeed(nowMs: number, thread = 0): void {
    const lease = this.lease(thread)
    lease.succeeded(nowMs)
    lease.release()
  }

  eject(nowMs: number): void {
    for (let i = 0; i < this.#policy.failures; i++) this.fail(nowMs)
    assert.equal(this.state(nowMs), 'ejected')
  }

  /** The endpoint's probe, which must be free. */
  probe(nowMs: number, thread = 0): Lease {
    assert.ok(awaitsProbe(this.table, slot, nowMs), `no probe at ${nowMs}`)
    const lease = this.lease(thread)
    assert.ok(lease.claimProbe())
    return lease
  }

  state(nowMs: number): string {
    return breakerState(this.table, slot, nowMs, this.#policy.slowStartMs)
  }

  get isEjected(): boolean {
    return this.table.ejected[slot] === 1
  }
}

describe('failures in a row', () => {
  type Step = readonly ['fail' | 'silent' | 'bad' | 'ok', client?: number]
  const cases: { name: string; steps: readonly Step[]; ejects: boolean; policy?: Partial<EjectionPlan> }[] = [
    { name: 'two do not eject', steps: [['fail'], ['fail']], ejects: false },
    { name: 'three eject when they are certain', steps: [['fail'], ['fail'], ['fail']], ejects: true },
    {
      name: 'a success between them forgives those before',
      steps: [['fail'], ['fail'], ['ok'], ['fail'], ['fail']],
      ejects: false,
    },
    {
      name: 'of one client do not eject, however many',
      steps: Array.from({ length: 200 }, () => ['fail', alice] as const),
      ejects: false,
    },
    {
      name: 'of one client do not eject when they are eight timeouts',
      steps: Array.from({ length: 8 }, () => ['silent', alice] as const),
      ejects: false,
    },
    {
      // An engine that accepts and never answers stayed in for good where all requests came from one address.
      name: 'of one client eject when they are nine timeouts',
      steps: Array.from({ length: 9 }, () => ['silent', alice] as const),
      ejects: true,
    },
    {
      name: 'of one client do not eject when others were served between its timeouts',
      steps: Array.from({ length: 200 }, (_, i) => (i % 8 === 7 ? (['ok'] as const) : (['silent', alice] as const))),
      ejects: false,
    },
    {
      name: 'of two clients eject',
      steps: [
        ['fail', alice],
        ['fail', alice],
        ['fail', bob],
      ],
      ejects: true,
    },
    {
      name: 'of one client and a certain one eject',
      steps: [['fail', alice], ['fail', alice], ['fail']],
      ejects: true,
    },
    {
      name: 'whose clients lie on both sides of a success are of one',
      steps: [['fail', bob], ['ok'], ['fail', alice], ['fail', alice], ['fail', alice]],
      ejects: false,
    },
    {
      name: 'answers of 500 are none of them',
      steps: Array.from({ length: 50 }, (_, i) => ['bad', i % 2 === 0 ? alice : bob] as const),
      ejects: false,
    },
    {
      name: 'never eject when that is switched off',
      steps: Array.from({ length: 50 }, () => ['fail'] as const),
      ejects: false,
      policy: { failures: 0 },
    },
    { name: 'one is enough when the policy says so', steps: [['fail']], ejects: true, policy: { failures: 1 } },
  ]
  for (const { name, steps, ejects, policy } of cases) {
    test(name, () => {
      const bench = new Bench(policy)
      for (const [what, client] of steps) {
        const lease = bench.lease()
        if (what === 'ok') lease.succeeded(100)
        else if (what === 'bad') lease.answeredBadly(100, client ?? alice)
        else lease.failed(100, client, what === 'silent')
        lease.release()
      }
      assert.equal(bench.isEjected, ejects)
    })
  }

  test('of one client eject when the active probe says the same', () => {
    const bench = new Bench()
    bench.table.health[slot] = health.unready
    for (let i = 0; i < 3; i++) bench.fail(0, alice)
    assert.equal(bench.isEjected, true)
  })

  test('of requests that were under way count once: they do not lengthen the ejection', () => {
    const bench = new Bench()
    const leases = Array.from({ length: 50 }, () => bench.lease())
    for (const lease of leases) lease.failed(100)
    assert.equal(bench.table.ejectedUntilMs[slot], 1100)
    assert.equal(bench.table.ejectionsByStreak[slot], 1)
    assert.equal(bench.table.ejectionsByProbe[slot], 0)
  })
})

describe('the share of successes in the window', () => {
  const policy = { failures: 0, successRatio: 0.5, minRequests: 10, windowMs: 10_000 }

  /** Requests spread over the clients; true when the endpoint is ejected in the end. */
  function after(good: number, bad: number, clients: readonly number[], given: Partial<EjectionPlan> = {}): boolean {
    const bench = new Bench({ ...policy, ...given })
    for (let i = 0; i < good; i++) bench.succeed(1000)
    for (let i = 0; i < bad; i++) bench.fail(1000, clients[i % clients.length])
    return bench.isEjected
  }

  test('ejects below the ratio, from the least number of requests on, when several clients saw it', () => {
    assert.equal(after(4, 6, [alice, bob]), true)
    assert.equal(after(5, 5, [alice, bob]), false, 'not below')
    assert.equal(after(0, 9, [alice, bob]), false, 'too few')
    assert.equal(after(0, 100, [alice]), false, 'one client')
    assert.equal(after(0, 100, [alice, bob], { successRatio: 0 }), false, 'switched off')
  })

  test('counts answers of 500, too', () => {
    const bench = new Bench(policy)
    for (let i = 0; i < 10; i++) {
      const lease = bench.lease()
      lease.answeredBadly(1000, i % 2 === 0 ? alice : bob)
      lease.release()
    }
    assert.equal(bench.isEjected, true)
    assert.equal(bench.table.ejectionsByRatio[slot], 1)
  })

  test('forgets what lies more than a window back, and so does the list of clients', () => {
    const bench = new Bench(policy)
    for (let i = 0; i < 9; i++) bench.fail(1000, i % 2 === 0 ? alice : bob)
    bench.fail(16_000, alice)
    assert.equal(bench.isEjected, false)
    for (let i = 0; i < 50; i++) bench.fail(16_000, alice)
    assert.equal(bench.isEjected, false)
    bench.fail(16_000, bob)
    assert.equal(bench.isEjected, true)
  })

  test('slides: what lies in the half before still counts', () => {
    const bench = new Bench(policy)
    for (let i = 0; i < 9; i++) bench.fail(4000, i % 2 === 0 ? alice : bob)
    bench.fail(6000, alice)
    assert.equal(bench.isEjected, true)
  })

  test('of an endpoint that returned begins anew', () => {
    const bench = new Bench(policy)
    for (let i = 0; i < 10; i++) bench.fail(1000, i % 2 === 0 ? alice : bob)
    bench.probe(2000).succeeded(2000)
    bench.fail(2100, alice)
    bench.fail(2100, bob)
    assert.equal(bench.isEjected, false)
  })
})

describe('an ejected endpoint', () => {
  test('waits out its time, then lets one request through at a time', () => {
    const bench = new Bench()
    bench.eject(100)
    assert.equal(awaitsProbe(bench.table, slot, 1099), false)
    assert.equal(bench.state(1100), 'half-open')
    const probe = bench.probe(1100)
    assert.equal(awaitsProbe(bench.table, slot, 1100), false)
    assert.equal(bench.lease().claimProbe(), false)
    probe.answered(1200)
    assert.equal(bench.state(1200), 'closed')
    assert.equal(bench.table.consecutiveErrors[slot], 0)
  })

  test('stays away twice as long with each probe that fails, up to the longest time', () => {
    const bench = new Bench()
    bench.eject(0)
    const times: number[] = [(bench.table.ejectedUntilMs[slot] ?? 0) - 0]
    for (let i = 0; i < 7; i++) {
      const nowMs = bench.table.ejectedUntilMs[slot] ?? 0
      const probe = bench.probe(nowMs)
      probe.failed(nowMs)
      probe.release()
      times.push((bench.table.ejectedUntilMs[slot] ?? 0) - nowMs)
    }
    assert.deepEqual(times, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000])
    assert.equal(bench.table.ejectionsByProbe[slot], 7)
  })

  test('that fails again soon after its return stays away longer, and not after some time in peace', () => {
    const bench = new Bench()
    const ejectionAt = (nowMs: number): number => {
      bench.eject(nowMs)
      const untilMs = bench.table.ejectedUntilMs[slot] ?? 0
      bench.probe(untilMs).succeeded(untilMs)
      return untilMs - nowMs
    }
    assert.equal(ejectionAt(0), 1000)
    assert.equal(ejectionAt(2000), 2000)
    assert.equal(ejectionAt(5000), 4000)
    // One step back for each 30 s.
    assert.equal(ejectionAt(9000 + 65_000), 2000)
    assert.equal(ejectionAt(500_000), 1000)
  })

  test('is probed by the next request when the client of the probe left without a verdict', () => {
    const bench = new Bench()
    bench.eject(0)
    bench.probe(1000).release()
    assert.equal(bench.state(1000), 'half-open')
    bench.probe(1000).succeeded(1000)
    assert.equal(bench.isEjected, false)
  })

  test('has no second probe while it is open who was to blame for the first, released or not', () => {
    const bench = new Bench()
    bench.eject(0)
    for (const verdict of ['failed', 'acquitted'] as const) {
      const nowMs = (bench.table.ejectedUntilMs[slot] ?? 0) + 5
      const probe = bench.probe(nowMs)
      probe.suspended()
      probe.release()
      assert.equal(awaitsProbe(bench.table, slot, nowMs), false)
      probe[verdict](nowMs)
      assert.equal(awaitsProbe(bench.table, slot, nowMs), verdict === 'acquitted')
    }
  })

  test('returns when a request succeeds that went there for want of another', () => {
    const bench = new Bench()
    bench.eject(0)
    bench.succeed(10)
    assert.equal(bench.isEjected, false)
  })

  test('does not return by a request that was there before', () => {
    const bench = new Bench()
    const before = bench.lease()
    bench.eject(0)
    before.succeeded(10)
    assert.equal(bench.isEjected, true)
  })

  test('is not probed while it says that it is not ready, or asked for a rest', () => {
    const bench = new Bench()
    bench.eject(0)
    bench.table.health[slot] = health.unready
    assert.equal(awaitsProbe(bench.table, slot, 5000), false)
    bench.table.health[slot] = health.ready
    bench.table.restUntilMs[slot] = 6000
    assert.equal(awaitsProbe(bench.table, slot, 5000), false)
    assert.equal(awaitsProbe(bench.table, slot, 6000), true)
  })

  test('may be probed as soon as it is ready again, and a failure then counts as one of a probe', () => {
    const bench = new Bench()
    bench.eject(0)
    endpointReturned(bench.table, slot, 300)
    const probe = bench.probe(300)
    probe.failed(300)
    probe.release()
    assert.equal(bench.table.ejectedUntilMs[slot], 2300)
  })

  test('is forgotten with the rest when it leaves the configuration and comes back', () => {
    const bench = new Bench()
    bench.eject(0)
    forgetReports(bench.table, slot)
    assert.equal(bench.state(0), 'closed')
    assert.equal(slowStartShare(bench.table, slot, 0, 10_000), 1)
  })
})

describe('slow start', () => {
  const policy = { slowStartMs: 10_000 }

  test('gives an endpoint a tenth at first and all in the end', () => {
    const bench = new Bench(policy)
    bench.eject(0)
    bench.probe(1000).succeeded(1000)
    const shares = [1000, 3500, 6000, 10_999, 11_000].map((nowMs) => slowStartShare(bench.table, slot, nowMs, 10_000))
    assert.deepEqual(
      shares.map((share) => Math.round(share * 1000) / 1000),
      [0.1, 0.325, 0.55, 1, 1],
    )
    assert.deepEqual([bench.state(1000), bench.state(11_000)], ['slow-start', 'closed'])
  })

  test('is not for an endpoint that is new, and can be switched off', () => {
    const fresh = new Bench(policy)
    assert.equal(fresh.state(0), 'closed')
    const off = new Bench()
    off.eject(0)
    off.probe(1000).succeeded(1000)
    assert.equal(off.state(1000), 'closed')
  })

  test('follows the return from being unready, too', () => {
    const bench = new Bench(policy)
    endpointReturned(bench.table, slot, 500)
    assert.equal(bench.state(501), 'slow-start')
  })
})

describe('over several threads', () => {
  test('failures add up, and the ejection holds for all', () => {
    const bench = new Bench({}, 3)
    for (const thread of [0, 1, 2]) bench.fail(100, undefined, thread)
    assert.equal(bench.state(100), 'ejected')
    assert.equal(bench.table.ejectionsByStreak[slot], 1)
  })

  test('one request probes, whichever thread it is on, and another thread does not free its probe', () => {
    const bench = new Bench({}, 3)
    bench.eject(0)
    const probe = bench.probe(1000, 1)
    assert.deepEqual([bench.lease(0).claimProbe(), bench.lease(2).claimProbe()], [false, false])
    bench.lease(2).release()
    freeProbesOf(bench.table, 3)
    assert.equal(awaitsProbe(bench.table, slot, 1000), false)
    probe.failed(1000)
    assert.equal(bench.table.probe[slot], 0)
  })

  test('the probe of a thread that died is freed', () => {
    const bench = new Bench({}, 3)
    bench.eject(0)
    bench.probe(1000, 1)
    freeProbesOf(bench.table, 2)
    bench.probe(1000, 2).succeeded(1000)
    assert.equal(bench.isEjected, false)
  })
})

test('whatever happens in whatever order, no probe stays and states follow each other as they may', () => {
  const may: Record<string, readonly string[]> = {
    closed: ['closed', 'ejected'],
    'slow-start': ['slow-start', 'closed', 'ejected'],
    ejected: ['ejected', 'half-open', 'slow-start'],
    'half-open': ['half-open', 'ejected', 'slow-start'],
  }
  for (let seed = 1; seed <= 30; seed++) {
    const rng = seededRng(seed)
    const bench = new Bench({ slowStartMs: 500, successRatio: 0.5, minRequests: 5 }, 3)
    const open: Lease[] = []
    let before = 'closed'
    for (let nowMs = 0; nowMs < 60_000; nowMs += Math.floor(rng() * 200)) {
      const thread = Math.floor(rng() * 3)
      const lease = bench.lease(thread)
      if (awaitsProbe(bench.table, slot, nowMs)) lease.claimProbe()
      open.push(lease)
      const state = bench.state(nowMs)
      assert.ok(may[before]?.includes(state), `${before} -> ${state} (seed ${seed})`)
      const done = rng() < 0.6 ? open.splice(Math.floor(rng() * open.length), 1)[0] : undefined
      if (rng() < 0.1) done?.suspended()
      if (rng() < 0.4) done?.failed(nowMs, rng() < 0.5 ? undefined : alice)
      else if (rng() < 0.8) done?.succeeded(nowMs)
      done?.acquitted()
      done?.release()
      before = bench.state(nowMs)
    }
    for (const lease of open) lease.release()
    assert.equal(bench.table.probe[slot], 0)
    assert.equal(bench.table.inFlight[slot], 0)
  }
})

test('client identities become numbers that mean nothing else', () => {
  const hashes = new Set(Array.from({ length: 20_000 }, (_, i) => clientHash(`10.${i >> 8}.${i & 255}.1`)))
  assert.equal(hashes.size, 20_000)
  assert.equal(hashes.has(0) || hashes.has(-1), false)
  assert.equal(Number.isInteger(clientHash('')), true)
})
