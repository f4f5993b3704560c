import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { ProfilePlan } from '#config/snapshot.ts'
import { seededRng } from '#core/clock.ts'
import { defaultProfile } from '#plugins/default-profile.ts'
import { houseConstants } from '#plugins/house/constants.ts'
import { plugins } from '#plugins/index.ts'
import { reportJson } from './report/json.ts'
import { tunePage } from './report/tune-page.ts'
import { tuneText } from './report/tune-text.ts'
import type { RunMetrics } from './run-metrics.ts'
import type { Progress, Runner, RunTask } from './task.ts'
import { leastBudget, tune } from './tune.ts'
import { basePoint, changesOf, drawPoint, movedPoint, profileAt, profileYaml, tuneSpaceOf } from './tune-space.ts'

/** Today's profile. */
const today: ProfilePlan = {
  filters: [{ type: 'usable', parameters: {} }],
  scorers: [
    { type: 'least-request', weight: 2, parameters: {} },
    { type: 'kv-cache', weight: 1, parameters: {} },
    { type: 'latency', weight: 0.5, parameters: {} },
  ],
  picker: { type: 'max-score', parameters: {} },
}
const candidates = [...today.scorers.map(({ type }) => type), 'has-adapter']
const space = tuneSpaceOf(today, { plugins, candidates })
const quiet: Progress = { planned: () => undefined, ended: () => undefined }
const setup = {
  space,
  frame: { workload: 'made', load: 1, warmUpMs: 0, measuredMs: 1 },
  where: 'a made workload',
  isSameRecording: false,
  metric: 'e2e' as const,
  budget: 150,
  tuningSeeds: [1, 2, 3, 4],
  heldOutSeeds: [101, 102, 103, 104, 105],
  seed: 1,
}

const spread = (mean: number): RunMetrics['e2eMs'] => ({ mean, p50: mean, p90: mean, p99: mean })

function weightOf({ arm }: RunTask, type: string): number {
  return arm.profile?.scorers.find((scorer) => scorer.type === type)?.weight ?? 0
}

/** Runs that take as long as a formula says, give or take what the seed and the profile decide. */
function made(costOf: (task: RunTask) => number, noise = 0): { readonly runner: Runner; readonly tasks: RunTask[] } {
  const tasks: RunTask[] = []
  const run = async (task: RunTask): Promise<RunMetrics> => {
    tasks.push(task)
    let hash = task.seed
    for (const letter of JSON.stringify(task.arm.profile)) hash = Math.imul(hash ^ letter.charCodeAt(0), 0x9e3779b1)
    const mean = costOf(task) * (1 + task.seed / 10) * (1 + noise * (seededRng(hash)() - 0.5))
    const times = { ttftMs: spread(mean), e2eMs: spread(mean), tpotMs: spread(1), itlMs: spread(1) }
    const rates = { goodputPerSecond: 1 / mean, goodShare: 1, outputTokensPerSecond: 1, hitRatio: 0, tenants: [] }
    return { ...times, ...rates } as unknown as RunMetrics
  }
  return { runner: { run }, tasks }
}

/** Best at half the weight of requests and three times that of KV memory. */
const bowl = (task: RunTask): number => {
  const [requests, kv] = [weightOf(task, 'least-request'), weightOf(task, 'kv-cache')]
  return 10 * (1 + Math.log2((kv + 0.1) / (requests + 0.1) / 3) ** 2 / 20)
}

describe('the space of profiles', () => {
  test('has the weight of every scorer that may come in and the parameters of those in use', () => {
    const labels = space.settings.map(({ label }) => label)
    for (const type of candidates) assert.ok(labels.includes(`weight of ${type}`), type)
    assert.ok(labels.includes('slack of least-request') && labels.includes('tolerance of latency'))
    const without: ProfilePlan = { filters: [], scorers: [], picker: { type: 'random', parameters: {} } }
    assert.ok(
      tuneSpaceOf(without, { plugins, candidates }).settings.every(
        ({ value, parameter }) => value === 0 && parameter === undefined,
      ),
    )
  })

  test('of the default profile has its two preferences and nothing else, whatever is drawn', () => {
    const [only] = defaultProfile.scorers
    const house = tuneSpaceOf(defaultProfile, { plugins, candidates: [only.type] })
    assert.deepEqual(
      house.settings.map(({ label, value }) => [label, value]),
      [
        ['waiting of cost', houseConstants.waiting],
        ['decoding of cost', houseConstants.decoding],
      ],
    )
    assert.deepEqual(profileAt(house, basePoint(house)), defaultProfile)
    const rng = seededRng(1)
    for (let i = 0; i < 200; i++) {
      const point = drawPoint(house, basePoint(house), { rng, spread: 1.5, free: [0, 1] })
      const drawn = profileAt(house, point)
      assert.notDeepEqual(point, basePoint(house))
      assert.deepEqual({ ...drawn, scorers: [] }, { ...defaultProfile, scorers: [] })
      const [scorer, ...others] = drawn.scorers
      assert.deepEqual([scorer?.type, scorer?.weight, others], [only.type, only.weight, []])
      assert.ok(Object.keys(scorer?.parameters ?? {}).every((name) => name === 'waiting' || name === 'decoding'))
    }
  })

  test('gives the profile back where nothing has moved', () => {
    assert.deepEqual(profileAt(space, basePoint(space)), today)
    assert.deepEqual(changesOf(space, basePoint(space)), [])
  })

  test('draws what the plug-ins accept, with a scorer left', () => {
    const rng = seededRng(1)
    const free = space.settings.map((_, i) => i)
    for (let i = 0; i < 500; i++) {
      const point = drawPoint(space, basePoint(space), { rng, spread: 4, free })
      const { scorers } = profileAt(space, point)
      assert.ok(scorers.length > 0)
      for (const { type, weight, parameters } of scorers) {
        const plugin = plugins.find((each) => each.type === type)
        assert.equal(plugin?.parameters.safeParse(parameters).success, true, JSON.stringify({ type, parameters }))
        assert.ok(weight > 0 && weight <= 100)
      }
    }
  })

  test('moves every setting, also from the end of its range', () => {
    for (const [i, { least, most }] of space.settings.entries()) {
      for (const value of [least, (least + most) / 2, most]) {
        const before = basePoint(space).with(i, value)
        const after = movedPoint(space, before, i)
        assert.ok(after[i] !== value || value === 0, space.settings[i]?.label)
        assert.ok((after[i] ?? -1) >= least && (after[i] ?? 0) <= most)
      }
    }
  })

  test('is written as configuration', () => {
    const profile = { ...today, scorers: [{ type: 'least-request', weight: 0.5, parameters: { slack: 2 } }] }
    assert.equal(
      profileYaml('quick', profile),
      'profiles:\n  quick:\n    filters:\n      - usable\n    scorers:\n      - { type: least-request, weight: 0.5, slack: 2 }\n    picker: max-score\n',
    )
  })
})

describe('tuning', () => {
  test('finds a better profile within its budget, and knows by how much', async () => {
    const { runner, tasks } = made(bowl, 0.02)
    const tuning = await tune(setup, runner, quiet)
    assert.ok(tasks.length <= setup.budget, `${tasks.length} runs`)
    assert.equal(tuning.runs, tasks.length)
    assert.ok(tuning.isSure && (tuning.heldOut.high ?? 1) < 1)
    const truth = (best: ProfilePlan): number => bowl({ ...setup.frame, seed: 1, arm: { name: '', profile: best } })
    const gain = truth(tuning.best) / truth(today)
    assert.ok(gain < 0.78, `${gain}`)
    assert.ok(Math.abs(tuning.heldOut.ratio / gain - 1) < 0.03, 'the gain is what held-out seeds say')
    assert.match(tuneText(tuning, 'default'), /Expected with the profile below: -\d+\.\d %[^]*profiles:\n {2}default:/)
  })

  test('keeps the seeds of the search and of the judgement apart', async () => {
    const { runner, tasks } = made(bowl)
    await tune(setup, runner, quiet)
    const judged = tasks.filter(({ seed }) => seed > 100)
    assert.equal(judged.length, 2 * setup.heldOutSeeds.length)
    assert.ok(tasks.indexOf(judged[0] as RunTask) > tasks.findLastIndex(({ seed }) => seed <= 100))
  })

  test('claims nothing when the interval includes 0, and prints no profile', async () => {
    for (const seed of [1, 2, 3, 4, 5, 6]) {
      const { runner } = made(() => 10, 0.1)
      const tuning = await tune({ ...setup, seed }, runner, quiet)
      const { low, high } = tuning.heldOut
      assert.equal(tuning.isSure, (high ?? 1) < 1)
      if (tuning.isSure) continue
      assert.ok((low ?? 1) <= 1 || tuning.changes.length === 0)
      assert.match(tuneText(tuning, 'default'), /No setting (is surely|that was tried is) better than yours/)
      assert.doesNotMatch(tuneText(tuning, 'default'), /profiles:/)
    }
  })

  test('leaves alone what changes nothing, and says so', async () => {
    const { runner } = made(bowl)
    const tuning = await tune(setup, runner, quiet)
    assert.deepEqual(
      space.settings.flatMap(({ label }) => (tuning.inert.includes(label) ? [] : [label])),
      ['weight of least-request', 'weight of kv-cache'],
    )
    assert.ok(tuning.changes.every(({ label }) => !tuning.inert.includes(label)))
    const nothing = await tune(setup, made(() => 10).runner, quiet)
    assert.deepEqual([nothing.changes, nothing.isSure], [[], false])
    assert.match(tuneText(nothing, 'default'), /No setting that was tried is better than yours/)
  })

  test('makes goodput more and TTFT less', async () => {
    for (const metric of ['goodput', 'ttft'] as const) {
      const tuning = await tune({ ...setup, metric }, made(bowl).runner, quiet)
      assert.ok(tuning.isSure, metric)
      assert.equal(tuning.heldOut.ratio > 1, metric === 'goodput')
      assert.match(tuneText(tuning, 'default'), metric === 'goodput' ? /: \+\d/ : /: -\d/)
    }
  })

  test('is the same for the same seed whichever run ends first, and fits the least budget', async () => {
    const late: Runner = {
      async run(task) {
        for (let turn = task.seed % 3; turn < 3; turn++) await new Promise((resolve) => void setImmediate(resolve))
        return made(bowl, 0.1).runner.run(task)
      },
    }
    for (const budget of [leastBudget(setup), 90]) {
      const [one, other] = [
        await tune({ ...setup, budget }, made(bowl, 0.1).runner, quiet),
        await tune({ ...setup, budget }, late, quiet),
      ]
      assert.equal(reportJson(other), reportJson(one))
      assert.equal(tunePage(other, 'default'), tunePage(one, 'default'))
      assert.ok(one.runs <= budget, `${one.runs} of ${budget}`)
      assert.doesNotMatch(tunePage(one, 'default'), /NaN|undefined|Infinity|<script|src=|href="[^#]/)
    }
  })
})
