import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { arms } from '#lab/arm-table.ts'
import { ownVariants } from '#lab/arms/own-variants.ts'
import type { RunMetrics } from '#lab/run-metrics.ts'
import { localRunner, type Progress, type Runner, type RunTask } from '#lab/task.ts'
import { workloads } from '#lab/workload-table.ts'
import { acceptanceColumns, constantsColumns, staleColumns } from './columns.ts'
import { type Evaluation, evaluate } from './evaluate.ts'
import { acceptanceLines, type Report } from './lines.ts'
import { acceptancePage, acceptanceSvg } from './page.ts'
import { Results } from './results.ts'
import { type Figures, type Row, rowsCsv } from './rows.ts'
import { storedRunner } from './stored-runner.ts'
import { acceptanceWorkloads } from './workloads.ts'

const plain: Figures = {
  requests: 100,
  failures: 0,
  e2eMeanMs: 1_000,
  e2eP99Ms: 2_000,
  ttftMeanMs: 100,
  ttftP90Ms: 150,
  ttftP99Ms: 400,
  tpotMeanMs: 20,
  tokensPerSecond: 5_000,
  goodShare: 1,
  hitRatio: 0.5,
  requestsMaxOverMean: 1.1,
  inFlightMaxOverMean: 1.1,
  preemptions: 0,
}

/** Runs of an arm in a column, one for each figure given, with seeds from 101 on. */
function rows(column: string, arm: string, figures: readonly Partial<Figures>[]): readonly Row[] {
  return figures.map((each, i) => ({ column, arm, seed: 101 + i, figures: { ...plain, ...each } }))
}

function e2e(column: string, arm: string, ...values: readonly number[]): readonly Row[] {
  return rows(
    column,
    arm,
    values.map((e2eMeanMs) => ({ e2eMeanMs })),
  )
}

function reportOf(all: readonly Row[], counted: readonly string[]): Report {
  return {
    results: new Results(all),
    counted,
    reference: [],
    policies: ['gateway', 'llm-d', 'smg', 'least-request'],
    peers: ['llm-d', 'smg'],
    blind: ['least-request'],
  }
}

function judge(start: string, report: Report) {
  const line = acceptanceLines.find((each) => each.test.startsWith(start))
  assert.ok(line, start)
  return line.judge(report)
}

const nobody: Progress = { planned: () => undefined, ended: () => undefined }

describe('regrets', () => {
  const all = [
    ...e2e('one', 'gateway', 100, 200),
    ...e2e('one', 'llm-d', 110, 220),
    ...e2e('one', 'smg', 200, 400),
    ...e2e('two', 'gateway', 240),
    ...e2e('two', 'llm-d', 200),
    ...e2e('two', 'oracle', 120),
  ]
  const results = new Results(all)
  const among = { others: ['gateway', 'llm-d', 'smg'], time: 'e2eMeanMs' } as const

  test('are ratios to the best of each column: geometric mean and worst, over the columns an arm ran on', () => {
    const cases = [
      ['gateway', 2, Math.sqrt(1 * 1.2), 1.2, 'two'],
      ['llm-d', 2, Math.sqrt(1.1 * 1), 1.1, 'one'],
      ['smg', 1, 2, 2, 'one'],
      ['oracle', 1, 0.6, 0.6, 'two'],
    ] as const
    for (const [arm, columns, mean, worst, worstAt] of cases) {
      const regret = results.regret(['one', 'two'], arm, among)
      assert.equal(regret.columns, columns, arm)
      assert.ok(Math.abs(regret.mean - mean) < 1e-12, `${arm} ${regret.mean}`)
      assert.ok(Math.abs(regret.worst - worst) < 1e-12, `${arm} ${regret.worst}`)
      assert.equal(regret.worstAt, worstAt)
    }
  })

  test('compare seed by seed: a ratio that is the same for all seeds has an interval of no width', () => {
    const against = results.against('one', 'gateway', { ...among, others: ['llm-d', 'smg'] })
    assert.equal(against?.other, 'llm-d')
    for (const value of Object.values(against?.ratio ?? {})) assert.ok(Math.abs(value - 100 / 110) < 1e-12)
  })

  test('rows count in the order of their seeds, however they come', () => {
    const shuffled = new Results([...e2e('one', 'gateway', 1, 2, 3)].toReversed())
    assert.deepEqual(shuffled.values('one', 'gateway', 'e2eMeanMs'), [1, 2, 3])
  })

  test('an arm with fewer seeds is compared on those it has, and is never the best', () => {
    const some = new Results([
      ...e2e('one', 'gateway', 100, 200),
      ...e2e('one', 'smg', 90),
      ...e2e('one', 'llm-d', 120, 240),
    ])
    assert.equal(some.best('one', ['gateway', 'smg', 'llm-d'], 'e2eMeanMs'), 'gateway')
    assert.ok(Math.abs(some.regret(['one'], 'smg', among).mean - 0.9) < 1e-12)
  })

  test('of an arm that did not run there is nothing', () => {
    assert.equal(results.against('two', 'smg', among), undefined)
    assert.equal(results.ratio('two', ['gateway', 'smg'], 'e2eMeanMs'), undefined)
    assert.equal(results.best('none', ['gateway'], 'e2eMeanMs'), undefined)
  })
})

describe('the lines of acceptance', () => {
  test('judge what was reached, and nothing that did not run', () => {
    const stale = (ratio: number): readonly Row[] =>
      staleColumns.flatMap(([old, fresh], i) => [
        ...e2e(fresh, 'gateway', 100),
        ...e2e(old, 'gateway', i === 1 ? 100 * ratio : 100),
      ])
    const ladder = (tokensPerSecond: number, ttftP90Ms: number): readonly Row[] => [
      ...rows('ladder 40-60', 'gateway', [{ tokensPerSecond, ttftP90Ms }]),
      ...rows('ladder 40-60', 'oracle', [{ tokensPerSecond: 10_000 }]),
    ]
    const mixed = (own: number): readonly Row[] =>
      ['mixed-fleet 36', 'mixed-mooncake 3'].flatMap((column) => [
        ...rows(column, 'gateway', [{ goodShare: own }]),
        ...rows(column, 'smg', [{ goodShare: 0.8 }]),
        ...rows(column, 'least-request', [{ goodShare: 0.84 }]),
      ])
    const reuse = (e2eMeanMs: number, ttftMeanMs: number): readonly Row[] => [
      ...rows('no-reuse 88', 'gateway', [{ e2eMeanMs, ttftMeanMs }]),
      ...rows('no-reuse 88', 'least-request', [{}]),
    ]
    const constants = (ratio: number): readonly Row[] => [
      ...e2e(constantsColumns[0] ?? '', 'gateway', 100),
      ...e2e(constantsColumns[0] ?? '', 'gateway-halved', 100 * ratio),
    ]
    const cases: readonly (readonly [
      test: string,
      rows: readonly Row[],
      isMet: boolean | undefined,
      reached: string,
    ])[] = [
      ['pages that', stale(1.01), true, '1.010 at chat 9'],
      ['pages that', stale(1.03), false, '1.030 at chat 9'],
      ['pages that', [], undefined, 'not run'],
      ['ladder of 40', ladder(9_100, 190), true, '91.0 %; 0.190 s'],
      ['ladder of 40', ladder(9_100, 210), false, '91.0 %; 0.210 s'],
      ['ladder of 40', ladder(8_900, 190), false, '89.0 %; 0.190 s'],
      ['ladder of 18', rows('ladder 18', 'gateway', [{ goodShare: 0.98 }, { goodShare: 1 }]), true, '99.0 %'],
      [
        'half of the fleet',
        mixed(0.9),
        true,
        '90.0 % against 84.0 % (least-request); 90.0 % against 84.0 % (least-request)',
      ],
      [
        'half of the fleet',
        mixed(0.88),
        false,
        '88.0 % against 84.0 % (least-request); 88.0 % against 84.0 % (least-request)',
      ],
      ['half of the fleet', [], undefined, 'not run'],
      ['no reuse', reuse(990, 100), true, '0.990; 1.000'],
      ['no reuse', reuse(990, 101), false, '0.990; 1.010'],
      ['constants', constants(1.02), true, '1.020 at ladder 40-60 (gateway-halved)'],
      ['constants', constants(1.04), false, '1.040 at ladder 40-60 (gateway-halved)'],
      ['constants', [], undefined, 'not run'],
      ['hot prefix', rows('hot 60', 'gateway', [{ inFlightMaxOverMean: 1.3 }]), false, '1.300; 100.0 %'],
      ['four gateways', [], undefined, '-'],
    ]
    for (const [start, all, isMet, reached] of cases) {
      assert.deepEqual(judge(start, reportOf(all, [])), { isMet, reached }, start)
    }
  })

  test('regrets are against the best of all policies, the judged arm among them', () => {
    const all = [
      ...e2e('one', 'gateway', 104),
      ...e2e('one', 'smg', 100),
      ...e2e('two', 'gateway', 100),
      ...e2e('two', 'llm-d', 130),
      ...e2e('two', 'oracle', 90),
    ]
    const reached = { isMet: true, reached: '1.020, worst 1.040 at one' }
    assert.deepEqual(judge('e2e regret', reportOf(all, ['one', 'two'])), reached)
    const worse = [...all, ...e2e('three', 'gateway', 120), ...e2e('three', 'llm-d', 100)]
    assert.equal(judge('e2e regret', reportOf(worse, ['one', 'two', 'three'])).isMet, false)
  })

  test('a peer that is better in one of the three times is better', () => {
    const of = (arm: string, ttftP99Ms: number, e2eMeanMs: number): readonly Row[] =>
      rows('one', arm, [{ e2eMeanMs, ttftMeanMs: e2eMeanMs / 10, ttftP99Ms }])
    const better = [...of('gateway', 400, 100), ...of('llm-d', 401, 110), ...of('smg', 900, 101)]
    assert.equal(judge('better than', reportOf(better, ['one'])).isMet, true)
    const mixed = [...of('gateway', 400, 100), ...of('llm-d', 399, 110), ...of('smg', 900, 101)]
    const verdict = judge('better than', reportOf(mixed, ['one']))
    assert.equal(verdict.isMet, false)
    assert.equal(verdict.reached, 'e2e 1.000, smg 1.010; TTFT mean 1.000, smg 1.010; TTFT p99 1.003, llm-d 1.000')
  })

  test('the part of the pooled cache is that of the worst column, fan-out left out', () => {
    const all = [
      ...e2e('one', 'gateway', 100),
      ...e2e('one', 'smg', 98),
      ...e2e('one', 'oracle', 94),
      ...e2e('two', 'gateway', 100),
      ...e2e('two', 'oracle', 97),
      ...e2e('fan-out 5', 'gateway', 100),
      ...e2e('fan-out 5', 'oracle', 80),
    ]
    const report = reportOf(all, ['one', 'two', 'fan-out 5'])
    assert.deepEqual(judge('e2e as a part', report), {
      isMet: false,
      reached: 'least 94.0 % at one; below it: one 94.0 % (best arm 95.9 %)',
    })
    assert.deepEqual(judge('fan-out', report), { isMet: false, reached: '80.0 %' })
  })
})

describe('columns', () => {
  test('have titles of their own, and workloads that there are', () => {
    const names = new Set([...workloads, ...acceptanceWorkloads].map(({ name }) => name))
    assert.equal(names.size, workloads.length + acceptanceWorkloads.length)
    assert.equal(new Set(acceptanceColumns.map(({ title }) => title)).size, acceptanceColumns.length)
    for (const { workload, counts, why } of acceptanceColumns) {
      assert.ok(names.has(workload), workload)
      assert.equal(why === undefined, counts, workload)
    }
    for (const { name, load } of workloads) {
      assert.ok(
        acceptanceColumns.some((each) => each.workload === name && each.load === load),
        name,
      )
    }
  })

  test('that lines speak of are there', () => {
    const titles = acceptanceColumns.map(({ title }) => title)
    const named = [
      'ladder 40-60',
      'ladder 18',
      'no-reuse 88',
      'hot 60',
      'fan-out 5',
      'mixed-fleet 36',
      'mixed-mooncake 3',
    ]
    for (const title of [...named, ...constantsColumns, ...staleColumns.flat()])
      assert.ok(titles.includes(title), title)
  })
})

/** Two columns at a fraction of their load, three arms, one seed, a few seconds. */
const small: Evaluation = {
  columns: [
    { workload: 'zipf', load: 20, title: 'zipf 20', isReference: true, counts: true },
    { workload: 'zipf-stale', load: 20, title: 'zipf-stale 20', isReference: false, counts: true },
  ],
  arms: [...arms, ...ownVariants].filter(({ name }) => ['gateway', 'gateway-events', 'least-request'].includes(name)),
  briefly: [],
  hindsight: [],
  tuningSeeds: [1],
  seeds: [101],
  warmUpMs: 1_000,
  measuredMs: 4_000,
}

const catalogue = {
  arms: [...arms, ...ownVariants],
  workloads: [...workloads, ...acceptanceWorkloads],
  readTrace: () => assert.fail('no trace is read'),
}

describe('an evaluation', () => {
  test('runs every arm on every column, and its regrets are those of the figures', async () => {
    const found = await evaluate(small, { runner: localRunner(catalogue), progress: nobody })
    assert.deepEqual(
      found.map(({ column, arm }) => `${column} ${arm}`),
      small.columns.flatMap(({ title }) => small.arms.map(({ name }) => `${title} ${name}`)),
    )
    const results = new Results(found)
    const others = small.arms.map(({ name }) => name)
    const titles = small.columns.map(({ title }) => title)
    const expected = titles.map((title) => {
      const of = (arm: string): number => results.mean(title, arm, 'ttftMeanMs')
      return of('least-request') / Math.min(...others.map(of))
    })
    const regret = results.regret(titles, 'least-request', { others, time: 'ttftMeanMs' })
    assert.ok(Math.abs(regret.mean - Math.sqrt(expected[0]! * expected[1]!)) < 1e-9)
    assert.ok(regret.mean > 1.5, 'prefixes are worth something')
    assert.equal(rowsCsv(found).split('\n').length, found.length + 2)
    const report: Report = {
      results,
      counted: titles,
      reference: ['zipf 20'],
      policies: others,
      peers: [],
      blind: ['least-request'],
    }
    const page = acceptancePage(report, {
      columns: small.columns,
      seeds: small.seeds,
      tuningSeeds: small.tuningSeeds,
      warmUpS: 1,
      seconds: 4,
      arms: others,
      briefly: [],
      tuned: [],
      command: 'this',
    })
    for (const title of titles) assert.match(page, new RegExp(`\\| ${title} \\|`))
    assert.match(acceptanceSvg(report), /^<svg .*<\/svg>\n$/s)
  })

  test('gives the same rows when runs end in another order', async () => {
    const ended: string[] = []
    const backwards: Runner = {
      async run({ workload, arm }) {
        const turn = small.arms.findIndex(({ name }) => name === arm.name)
        for (let i = 0; i < 10 - turn; i++) await new Promise((resolve) => void setImmediate(resolve))
        ended.push(arm.name)
        return metricsOf(workload.length * 1_000 + turn)
      },
    }
    const forwards: Runner = {
      run: ({ workload, arm }) =>
        Promise.resolve(metricsOf(workload.length * 1_000 + small.arms.findIndex(({ name }) => name === arm.name))),
    }
    const [one, other] = await Promise.all([
      evaluate(small, { runner: forwards, progress: nobody }),
      evaluate(small, { runner: backwards, progress: nobody }),
    ])
    assert.equal(ended[0], small.arms.at(-1)?.name)
    assert.deepEqual(other, one)
  })

  test('runs an arm that is only looked at with one seed', async () => {
    const runner: Runner = { run: () => Promise.resolve(metricsOf(1)) }
    const setup = { ...small, columns: small.columns.slice(0, 1), seeds: [101, 102, 103], briefly: ['least-request'] }
    const found = await evaluate(setup, { runner, progress: nobody })
    const counts = small.arms.map(({ name }) => found.filter(({ arm }) => arm === name).length)
    assert.deepEqual(
      counts,
      small.arms.map(({ name }) => (name === 'least-request' ? 1 : 3)),
    )
  })

  test('searches the best setting on other seeds, and marks it', async () => {
    const tasks: RunTask[] = []
    const arm = arms.find(({ name }) => name === 'smg')
    assert.ok(arm)
    const grid = Object.entries(arm.parameters ?? {})[0]
    const wanted = grid?.[1].grid.find((value) => value !== grid[1].value)
    const runner: Runner = {
      run(task) {
        tasks.push(task)
        const isBest = task.arm.values?.[grid?.[0] ?? ''] === wanted
        return Promise.resolve(metricsOf(isBest ? 50 : 100))
      },
    }
    const setup = { ...small, columns: small.columns.slice(0, 1), arms: [arm], hindsight: ['smg'] } satisfies Evaluation
    const found = await evaluate(setup, { runner, progress: nobody })
    assert.deepEqual(
      found.map((row) => [row.arm, row.figures.e2eMeanMs, row.values]),
      [
        ['smg', 100, undefined],
        ['smg*', 50, { [grid?.[0] ?? '']: wanted }],
      ],
    )
    for (const { seed, arm: choice } of tasks) assert.ok(seed === 101 || seed === 1, choice.name)
  })

  test('does not run again what is stored under the same key', async () => {
    const known = new Map<string, RunMetrics>()
    let runs = 0
    const inner: Runner = { run: () => Promise.resolve(metricsOf(++runs)) }
    const store = {
      get: (key: string) => known.get(key),
      put: (key: string, run: RunMetrics) => void known.set(key, run),
    }
    const runner = storedRunner(inner, store, (task) => `${task.arm.name} ${task.seed}`)
    const task: RunTask = { arm: { name: 'a' }, workload: 'zipf', seed: 1, load: 1, warmUpMs: 0, measuredMs: 1 }
    const first = await runner.run(task)
    assert.equal(await runner.run(task), first)
    await runner.run({ ...task, seed: 2 })
    assert.equal(runs, 2)
  })
})

function metricsOf(e2eMs: number): RunMetrics {
  const spread = { mean: e2eMs, p50: e2eMs, p90: e2eMs, p99: e2eMs }
  return {
    requests: 1,
    failures: 0,
    retries: 0,
    ttftMs: spread,
    tpotMs: spread,
    e2eMs: spread,
    itlMs: spread,
    outputTokensPerSecond: 1,
    busyTokensPerSecond: 1,
    goodputPerSecond: 1,
    goodShare: 1,
    hitRatio: 0,
    preemptions: 0,
    requestsMaxOverMean: 1,
    inFlightMaxOverMean: 1,
    copiesPerPrefix: 1,
    localityGivenAway: 0,
    compulsoryShare: 1,
    leastTtftMs: 1,
    kvUse: 0,
    waiting: 0,
    fairness: 1,
    slowdownMaxOverMin: 1,
    tenants: [],
  }
}
