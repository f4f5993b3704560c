import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { PlacementEnd, PluginPorts, ScheduleRequest, Scorer } from '#contracts/schedule.ts'
import { candidatesOf, type LoadRow, pluginPorts, scheduleRequest, slotAt } from '#plugins/plugin-case.ts'
import { createSessionMemory } from '#struct/session-table.ts'
import { sessionAffinity } from './session-affinity.ts'
import { SessionTokens } from './session-token.ts'

const idle: readonly LoadRow[] = [{}, {}, {}]
const served: PlacementEnd = { isAnswered: true, outputTokens: 5 }
const failed: PlacementEnd = { isAnswered: false, outputTokens: Number.NaN }
const silent = [Number.NaN, Number.NaN, Number.NaN]

function portsWith(given: Partial<PluginPorts> = {}): PluginPorts {
  const endpointOf = (slot: number) => {
    const host = `10.0.0.${slot}`
    return { id: `${host}:8000`, host, port: 8000, role: 'both' as const, labels: {} }
  }
  return { ...pluginPorts(), endpointOf, wallMs: () => 1_700_000_000_000, ...given }
}

function affinity(parameters: Record<string, unknown> = {}, ports: PluginPorts = portsWith()): Scorer {
  return sessionAffinity.create(sessionAffinity.parameters.parse(parameters), ports)
}

function scoresOf(scorer: Scorer, given: Partial<ScheduleRequest>, rows: readonly LoadRow[] = idle): number[] {
  const out = new Float64Array(rows.length)
  scorer.score(scheduleRequest(given), candidatesOf(rows), out)
  return [...out]
}

const s = { session: 's' }

describe('a session', () => {
  test('has no say while it is new, and prefers the endpoint where it was served from then on', () => {
    const scorer = affinity()
    assert.deepEqual(scoresOf(scorer, s), silent)
    scorer.placed?.(scheduleRequest(s), slotAt(1))?.ended(served)
    assert.deepEqual(scoresOf(scorer, s), [0, 1, 0])
    assert.deepEqual(scoresOf(scorer, { session: 't' }), silent, 'another session')
    assert.deepEqual(scoresOf(scorer, { ...s, model: 'other' }), silent, 'another model')
    assert.deepEqual(scoresOf(scorer, {}), silent, 'no session')
    scorer.placed?.(scheduleRequest(s), slotAt(2))
    assert.deepEqual(scoresOf(scorer, s), [0, 0, 1], 'it moved')
  })

  test('is not held where it failed', () => {
    const scorer = affinity()
    scorer.placed?.(scheduleRequest(s), slotAt(1))?.ended(failed)
    assert.deepEqual(scoresOf(scorer, s), silent)
    const first = scorer.placed?.(scheduleRequest(s), slotAt(1))
    scorer.placed?.(scheduleRequest(s), slotAt(2))
    first?.ended(failed)
    assert.deepEqual(scoresOf(scorer, s), [0, 0, 1], 'but where it was served since')
  })

  test('is let go when its endpoint has more than its share of requests, or is gone', () => {
    const scorer = affinity({ breakOut: 4 })
    scorer.placed?.(scheduleRequest(s), slotAt(0))
    assert.deepEqual(scoresOf(scorer, s, [{ inFlight: 5 }, { inFlight: 1 }, { inFlight: 3 }]), [1, 0, 0])
    assert.deepEqual(scoresOf(scorer, s, [{ inFlight: 6 }, { inFlight: 1 }, { inFlight: 3 }]), silent)
    const without = candidatesOf(idle)
    const out = new Float64Array(2)
    scorer.score(scheduleRequest(s), { ...without, slots: without.slots.slice(1), count: 2 }, out)
    assert.deepEqual([...out], silent.slice(1))
  })

  test('ends a while after it was last used', () => {
    const scorer = affinity({ ttlMs: 1000 })
    const at = (nowMs: number) => ({ ...s, nowMs })
    scorer.placed?.(scheduleRequest(at(5000)), slotAt(0))
    scorer.placed?.(scheduleRequest(at(5900)), slotAt(0))
    assert.deepEqual(scoresOf(scorer, at(6900)), [1, 0, 0])
    assert.deepEqual(scoresOf(scorer, at(6901)), silent)
  })

  test('is known to all threads and after a reload, but not where another endpoint has the row', () => {
    const sessionMemory = createSessionMemory()
    affinity({}, portsWith({ sessionMemory })).placed?.(scheduleRequest(s), slotAt(1))
    assert.deepEqual(scoresOf(affinity({}, portsWith({ sessionMemory })), s), [0, 1, 0])
    const other = { id: 'b:1', host: 'b', port: 1, role: 'both' as const, labels: {} }
    assert.deepEqual(scoresOf(affinity({}, portsWith({ sessionMemory, endpointOf: () => other })), s), silent)
  })
})

describe('a token', () => {
  const tokenOf = (scorer: Scorer): readonly [string, string] => {
    const [name = '', value = ''] = scorer.placed?.(scheduleRequest(), slotAt(1))?.replyHeaders ?? []
    return [name, value]
  }
  const secret = 'a secret of all replicas'

  test('is given only when configured', () => {
    assert.deepEqual(affinity().placed?.(scheduleRequest(s), slotAt(1))?.replyHeaders, [])
    assert.equal(affinity().placed?.(scheduleRequest(), slotAt(1)), undefined)
  })

  test('brings the client back over replicas that share the key', () => {
    const [name, token] = tokenOf(affinity({ carrier: 'header', secret }))
    assert.equal(name, 'x-infer-session')
    const headers = ['accept', '*/*', name, token]
    assert.deepEqual(scoresOf(affinity({ carrier: 'header', secret }), { headers }), [0, 1, 0])
    assert.deepEqual(scoresOf(affinity({ carrier: 'header', secret: 'another' }), { headers }), silent)
    assert.deepEqual(scoresOf(affinity({ carrier: 'header' }), { headers }), silent)
    assert.deepEqual(
      scoresOf(affinity({ carrier: 'header', secret }), { headers, model: 'other' }),
      silent,
      'one model only',
    )
  })

  test('can be a cookie among others', () => {
    const [name, line] = tokenOf(affinity({ carrier: 'cookie', carrierName: 'sid', secret }))
    const value = /^sid=([\w-]+); Max-Age=10800; Path=\/; HttpOnly; SameSite=Lax$/.exec(line)?.[1] ?? ''
    assert.deepEqual([name, value.length], ['set-cookie', 39])
    const scorer = affinity({ carrier: 'cookie', carrierName: 'sid', secret })
    assert.deepEqual(scoresOf(scorer, { headers: ['cookie', `a=b; sid=${value}; c=d`] }), [0, 1, 0])
    assert.deepEqual(scoresOf(scorer, { headers: ['cookie', `xsid=${value}`] }), silent)
  })

  test('ends a while after the answer that it came with', () => {
    const [name, token] = tokenOf(affinity({ carrier: 'header', secret }))
    const later = (seconds: number): number[] => {
      const wallMs = (): number => 1_700_000_000_000 + seconds * 1000
      return scoresOf(affinity({ carrier: 'header', secret }, portsWith({ wallMs })), { headers: [name, token] })
    }
    assert.deepEqual(later(10_800), [0, 1, 0])
    assert.deepEqual(later(10_801), silent)
  })

  test('is worth nothing when any of it is changed', () => {
    const tokens = new SessionTokens(Buffer.from(secret))
    const token = tokens.issue('m', { mark: tokens.markOf('a:1'), expiresAtS: 100 })
    assert.deepEqual(tokens.read('m', token, 100), { mark: tokens.markOf('a:1'), expiresAtS: 100 })
    const bytes = Buffer.from(token, 'base64url')
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = Buffer.from(bytes)
      changed[bit >> 3]! ^= 1 << (bit & 7)
      assert.equal(tokens.read('m', changed.toString('base64url'), 100), undefined, `bit ${bit}`)
    }
    for (const text of ['', 'x', token.slice(1), `${token}A`, '!'.repeat(token.length)]) {
      assert.equal(tokens.read('m', text, 0), undefined)
    }
    assert.throws(() => new SessionTokens(Buffer.alloc(0)))
  })

  test('says nothing of the address', () => {
    const [, token] = tokenOf(affinity({ carrier: 'header', secret }))
    for (const encoding of ['base64url', 'hex', 'latin1'] as const) {
      assert.doesNotMatch(Buffer.from(token, encoding).toString('latin1'), /10\.0\.0|8000/)
    }
  })

  test('without a key is warned of', () => {
    const caution = (parameters: object) => sessionAffinity.caution?.(sessionAffinity.parameters.parse(parameters))
    assert.match(caution({ carrier: 'header' }) ?? '', /random one/)
    assert.equal(caution({ carrier: 'header', secret }), undefined)
    assert.equal(caution({}), undefined)
  })
})
