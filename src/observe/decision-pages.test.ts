import assert from 'node:assert/strict'
import { test } from 'node:test'
import { candidateRecord, decisionHead, decisionRecord } from './decision-case.ts'
import { type DecisionReport, decisionPage } from './decision-pages.ts'
import type { DecisionQuery } from './decision-ring.ts'
import { renderDecision } from './decision-words.ts'

function admin(given: Partial<DecisionReport> = {}) {
  const asked: DecisionQuery[] = []
  const ask = (query: DecisionQuery): Promise<DecisionReport> => {
    asked.push(query)
    const decisions = [query.isWhole ? decisionRecord() : decisionHead()]
    return Promise.resolve({ decisions, isTruncated: false, silentThreads: [], profiles: { default: {} }, ...given })
  }
  return { asked, get: (target: string, accept?: string) => decisionPage(target, accept, ask) }
}

test('the list is asked for with its conditions, and is JSON without candidates', async () => {
  const { asked, get } = admin()
  const { status, isText, body } = await get('/debug/decisions?model=a%2Fb&endpoint=h:1&profile=p&limit=7')
  assert.deepEqual([status, isText], [200, false])
  assert.deepEqual(Object.keys(JSON.parse(body) as object), ['decisions', 'isTruncated', 'silentThreads'])
  assert.deepEqual(asked, [
    {
      requestId: undefined,
      model: 'a/b',
      modelServer: undefined,
      endpoint: 'h:1',
      profile: 'p',
      limit: 7,
      isWhole: false,
    },
  ])
})

test('one decision is whole, under the id of its request however that is written', async () => {
  const { asked, get } = admin()
  const { body } = await get('/debug/decisions/a%2F..%3Fb%20c')
  assert.deepEqual([asked[0]?.requestId, asked[0]?.isWhole, body.includes('"candidates"')], ['a/..?b c', true, true])
})

test('inputs for a replay come with the profiles in force', async () => {
  const { body } = await admin().get('/debug/decisions?full=1')
  assert.deepEqual((JSON.parse(body) as DecisionReport).profiles, { default: {} })
})

for (const [target, accept] of [
  ['/debug/decisions/id-1?format=text', undefined],
  ['/debug/decisions/id-1', 'text/plain, */*;q=0.1'],
] as const) {
  test(`words for ${target} with accept ${accept ?? 'not said'}`, async () => {
    const { isText, body } = await admin().get(target, accept)
    assert.ok(isText)
    assert.match(body, /^Request id-1 at 2026-01-31T12:00:00\.000Z, thread data-0\n/)
  })
}

test('threads that do not answer are named', async () => {
  const { body } = await admin({ silentThreads: ['data-1'], isTruncated: true }).get('/debug/decisions?format=text')
  assert.match(body, /There are more; limit=N shows up to N\.\nNot answered in time: data-1\.\n$/)
})

test('an unknown request is 404 and says why it may be', async () => {
  const { status, body } = await admin({ decisions: [], silentThreads: ['data-1'] }).get('/debug/decisions/nobody')
  assert.equal(status, 404)
  assert.match(body, /x-infer-explain: 1 .*recordEvery\nNot answered in time: data-1\.\n$/)
})

for (const [query, says] of [
  ['limit=0', /'limit' is a whole number from 1 to 1000/],
  ['limit=ten', /'limit'/],
  ['format=xml', /'format' is text or json/],
  ['full=yes', /'full' is 0 or 1/],
  ['modle=a', /no parameter 'modle'; there are model /],
  [`model=${'a'.repeat(600)}`, /too long/],
] as const) {
  test(`the query ${query.slice(0, 20)} is 400 and nobody is asked`, async () => {
    const { asked, get } = admin()
    const { status, body } = await get(`/debug/decisions?${query}`)
    assert.deepEqual([status, asked], [400, []])
    assert.match(body, says)
  })
}

test('an id that is not encoded as in a URL is 400', async () => {
  assert.equal((await admin().get('/debug/decisions/%zz')).status, 400)
})

test('words: the request, what filters removed, the scores and signals with their age, the pick first', () => {
  const words = renderDecision(
    decisionRecord({
      endpoints: 4,
      tried: ['h:4'],
      filters: [{ type: 'usable', removed: ['h:3'] }],
      candidates: [candidateRecord('h:3', { removedBy: 'usable', leftOut: 'ejected' }), ...decisionRecord().candidates],
    }),
  )
  assert.equal(
    words.replaceAll(/ +\n/g, '\n'),
    `Request id-1 at 2026-01-31T12:00:00.000Z, thread data-0
  Model 'tiny' on model server models/tiny (4 endpoints), profile 'default'.
  Prompt of about 1,024 tokens (4,096 bytes), at most 16 new tokens, streamed.

h:1 was picked, h:2 came second.
  Why: cost 1.00 to 0.40 against h:2.
  Left out, because they had failed this request: h:4.
  Filter usable removed h:3 (ejected).
  Scored by cost (weight 1); picked by near-best.

   endpoint  total        cost          cached  in flight  prefilling  tokens ahead  context  KV use  reported
>  h:1       1            1 (+1)        960     3          0           0             0        42 %    1.2 s ago
2  h:2       0.40         0.40 (+0.40)  0       0          0           0             0        -       -
   h:3       out: usable  -             0       0          0           0             0        -       -
`,
  )
})
