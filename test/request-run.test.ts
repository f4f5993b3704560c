import assert from 'node:assert/strict'
import { test } from 'node:test'
import { manualClock } from '#core/manual-clock.ts'
import { draftOutcome } from '#core/outcome.ts'
import { isRefusal, refuse } from '#core/refusal.ts'
import { Gauge } from '#observe/metric-handles.ts'
import { parseHead, RequestParser } from '#parse/parse-request.ts'
import { RequestRun } from '#pipeline/request-run.ts'
import { Forwarder } from '#proxy/forwarder.ts'
import { UpstreamPools } from '#proxy/upstream-pools.ts'
import { RecordedExchange } from '#test/forward-case.ts'

test('a decision that throws ends its request once, as a mistake of ours, and leaves no call behind', () => {
  // Once the call stayed for good and was counted as in flight; thrown before a further try it ended the thread.
  const clock = manualClock(1000)
  const forwarder = new Forwarder(new UpstreamPools(clock), clock)
  const exchange = new RecordedExchange()
  const api = parseHead(exchange.head)
  assert.ok(!isRefusal(api))
  const request = new RequestParser().parse(exchange, api, 'id-1')
  assert.ok(!isRefusal(request))
  const seen: string[] = []
  const inFlight = Float64Array.of(1)
  const run = new RequestRun(
    {
      refuseWith: (_exchange, { reason }) => seen.push(reason),
      record: () => seen.push('recorded'),
      faulted: (caught) => refuse('internal-error', String(caught)),
    },
    {
      exchange,
      request,
      outcome: draftOutcome(0),
      decision: {
        choose: () => {
          throw new Error('a plug-in made a mistake')
        },
      },
      exposeEndpoint: false,
      inFlight: new Gauge(inFlight, 0),
    },
  )
  forwarder.forward(run)
  assert.deepEqual([seen, inFlight[0], forwarder.active, exchange.observer], [['internal-error'], 0, 0, undefined])
  forwarder.pools.close()
})
