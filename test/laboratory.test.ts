import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type LabOutput, LabUsageError, labCapacity, labList, labRun } from '#apps/lab.ts'
import { durationText } from '#apps/lab-progress.ts'
import { labTune } from '#apps/lab-tune.ts'
import { labCommand } from '#cli/commands/lab.ts'
import type { ProfilePlan } from '#config/snapshot.ts'
import { loadSnapshot } from '#controller/load-snapshot.ts'
import { profileYaml } from '#lab/tune-space.ts'
import { defaultProfile } from '#plugins/default-profile.ts'
import { plugins } from '#plugins/index.ts'
import { maskSource } from './mask-source.ts'

const source = new URL('../src/', import.meta.url)

/** Files of src/ that are loaded along with one, dynamic imports left out. */
function loadedWith(path: string, seen = new Set<string>()): ReadonlySet<string> {
  if (seen.has(path)) return seen
  seen.add(path)
  const { code, strings } = maskSource(readFileSync(new URL(path, source), 'utf8'))
  for (const match of code.matchAll(
    /^(?:import|export)\b(?!\s+type\b)[^(\n]*?(?:\{[^}]*\})?[^\n]*?\bfrom\s*(?=['"])/gm,
  )) {
    const specifier = strings.get(match.index + match[0].length) ?? ''
    const isLocal = specifier.startsWith('./')
    if (!isLocal && !specifier.startsWith('#')) continue
    loadedWith(isLocal ? join(path, '..', specifier) : specifier.slice(1), seen)
  }
  return seen
}

const trace = fileURLToPath(new URL('../bench/traces/mooncake-conversation-600s.jsonl', import.meta.url))

const short = {
  workloads: ['chat'],
  arms: ['gateway', 'random', 'lmetric'],
  seeds: 2,
  loads: [0.5],
  rate: undefined,
  hindsight: false,
  tuningSeeds: 1,
  warmUpS: 1,
  seconds: 3,
  jobs: 1,
  trace: undefined,
  engines: undefined,
  preset: undefined,
  out: undefined,
}

const tuning = {
  ...short,
  workload: 'no-reuse',
  load: 44,
  engines: 4,
  metric: 'ttft',
  budget: 150,
  seconds: 1,
  config: undefined,
  profile: 'default',
  env: {},
}

describe('infer-gateway lab', () => {
  test('is not loaded by a gateway that serves', () => {
    for (const entry of ['cli/main.ts', 'apps/serve.ts', 'apps/data-thread.ts']) {
      const loaded = [...loadedWith(entry)]
      assert.ok(loaded.length >= 5, `${entry} loads ${loaded.length} files`)
      assert.deepEqual(
        loaded.filter((path) => path.startsWith('lab/') || path === 'apps/lab.ts'),
        [],
      )
    }
    assert.ok([...loadedWith('apps/lab.ts')].some((path) => path.startsWith('lab/')))
  })

  test('reports progress, a table, a JSON file and a page, the same with any number of jobs', async () => {
    const [one, two] = [
      await written((out, to) => labRun({ ...short, out }, to)),
      await written((out, to) => labRun({ ...short, jobs: 2, out }, to)),
    ]
    assert.match(one.printed, /W4 chat \(4\.5 conversations\/s, 8 x qwen3-32b-2xh100\)\narm +e2e regret/)
    assert.equal(two.printed, one.printed)
    assert.deepEqual(two.files, one.files)
    const report = JSON.parse(one.files['report.json'] ?? '') as { columns: { cells: unknown[] }[] }
    assert.equal(report.columns[0]?.cells.length, 3)
    assert.match(one.files['report.html'] ?? '', /^<!doctype html>/)
    assert.match(one.lines[0] ?? '', /^1 of 6, about \d+ s left {2}chat: \S+, seed 10[12]$/)
    assert.match(one.lines.findLast((line) => line !== '') ?? '', /^6 of 6 {2}chat/)
  })

  test('runs a trace of the user on a fleet of their choice', async () => {
    const options = {
      ...short,
      workloads: undefined,
      trace,
      engines: 3,
      preset: 'llama-70b-4xh100',
      arms: ['gateway'],
      seeds: 1,
      seconds: 15,
    }
    const { printed } = await written((out, to) => labRun({ ...options, out }, to))
    assert.match(printed, /^trace \(0\.5 times as fast, 3 x llama-70b-4xh100\)/)
  })

  test('prints a tuned profile that the configuration takes, or says that none is better', async () => {
    const tuned = await written((out, to) => labTune({ ...tuning, out }, to))
    assert.match(tuned.printed, /^no-reuse, 44 requests\/s, 4 x qwen3-32b-2xh100; \d+ runs/)
    assert.match(tuned.printed, /Expected with the profile below|No setting/)
    const { best } = JSON.parse(tuned.files['tuning.json'] ?? '') as { best: ProfilePlan }
    const config = join(mkdtempSync(join(tmpdir(), 'lab-')), 'gateway.yaml')
    try {
      writeFileSync(config, `models: { m: { endpoints: ["http://127.0.0.1:1"] } }\n${profileYaml('default', best)}`)
      const result = await loadSnapshot(config, { env: {}, plugins, defaultProfile, wallMs: () => 0 })
      assert.ok(result.ok, result.ok ? '' : JSON.stringify(result.problems))
      assert.deepEqual(
        result.snapshot.profiles.default?.scorers.map(({ type, weight }) => [type, weight]),
        best.scorers.map(({ type, weight }) => [type, weight]),
      )
      const again = await written((out, to) => labTune({ ...tuning, config, out }, to))
      assert.match(again.printed, /today/)
    } finally {
      rmSync(dirname(config), { recursive: true })
    }
  })

  test('searches capacity', async () => {
    const options = { ...short, seeds: 1, share: 0.9, tolerance: 1.4, arms: ['random'] }
    const { printed, files } = await written((out, to) => labCapacity({ ...options, out }, to))
    assert.match(printed, /greatest load with 90 % inside the objective/)
    assert.deepEqual(Object.keys(files), ['capacity.html', 'capacity.json'])
  })

  test('says what there is, and what a misspelt name may have meant', async () => {
    const list = labList()
    for (const name of ['mooncake', 'agents', 'gateway', 'llm-d', 'preble'])
      assert.ok(list.includes(`  ${name} `), name)
    assert.match(list, /threshold 0\.3 /)
    const cases = [
      [{ arms: ['gatway'] }, /no arm is named 'gatway': did you mean gateway\?/],
      [{ workloads: ['chta'] }, /no workload is named 'chta': did you mean chat\?/],
      [{ preset: 'llama-8b-h10' }, /no engine is named 'llama-8b-h10': did you mean llama-8b-h100\?/],
      [{ trace: 'no-such-file.jsonl' }, /^no-such-file\.jsonl does not exist$/],
      [{ trace: tmpdir() }, / is a directory$/],
      [{ out: join(trace, 'lab') }, /^--out .* has a file where its path needs a directory$/],
      [{ out: trace }, /^--out .* is a file$/],
      [{ workloads: ['chat', 'zipf'], rate: 3 }, /^--rate 3 is conversations\/s, or requests\/s: /],
      [{ workloads: ['mooncake'], rate: 700 }, /^mooncake is over after 0\.9 s at this speed, before --warm-up 1 is$/],
    ] as const
    for (const [wrong, message] of cases) {
      const refused = labRun({ ...short, ...wrong }, silent)
      await assert.rejects(refused, (error: unknown) => error instanceof LabUsageError && message.test(error.message))
    }
    const tuneCases = [
      [{ metric: 'ttf' }, /no metric is named 'ttf': did you mean ttft\?/],
      [{ budget: 9 }, /a budget of 9 runs is too small: \d+ or more/],
      [{ workload: undefined }, /say what to tune for/],
      [{ profile: 'chat' }, /--profile chat needs --config/],
      [{ trace, seconds: 900 }, /the trace is too short: .* each is \d+\.\d s at this speed, and a run is 901 s/],
    ] as const
    for (const [wrong, message] of tuneCases) {
      await assert.rejects(labTune({ ...tuning, ...wrong }, silent), message)
    }
  })

  test('does not take two ways to say the load', () => {
    const run = labCommand()
      .commands.find((each) => each.name() === 'run')
      ?.exitOverride()
    run?.configureOutput({ writeErr: () => undefined })
    assert.throws(() => run?.parse(['--loads', '2', '--rate', '3'], { from: 'user' }), /'--loads <factors>'/)
  })

  test('refuses values that make no sense with the flag', () => {
    for (const [name, flag, value] of [
      ['run', '--seeds', '0'],
      ['run', '--rate', '-1'],
      ['run', '--seconds', 'long'],
      ['run', '--loads', '1,none'],
      ['capacity', '--share', '1.5'],
      ['capacity', '--tolerance', '1'],
      ['tune', '--budget', '1.5'],
      ['tune', '--jobs', '0'],
    ] as const) {
      const command = labCommand().exitOverride()
      const run = command.commands.find((each) => each.name() === name)?.exitOverride()
      run?.configureOutput({ writeErr: () => undefined })
      assert.throws(() => run?.parse([flag, value], { from: 'user' }), new RegExp(flag))
    }
  })

  test('tells how long it will take', () => {
    const cases = [
      [0.2, '1 s'],
      [42, '42 s'],
      [100, '2 min'],
      [5_400, '1 h 30 min'],
    ] as const
    for (const [seconds, text] of cases) assert.equal(durationText(seconds), text)
  })
})

const silent = { print: () => assert.fail('nothing runs'), progress: () => assert.fail('nothing runs'), width: 80 }

/** What a command printed, showed as progress, and wrote. */
interface Written {
  readonly printed: string
  readonly lines: readonly string[]
  readonly files: Readonly<Record<string, string>>
}

/** Runs a command into a folder of its own, which is gone afterwards. */
async function written(work: (out: string, output: LabOutput) => Promise<void>): Promise<Written> {
  const out = mkdtempSync(join(tmpdir(), 'lab-'))
  const printed: string[] = []
  const lines: string[] = []
  try {
    const print = (text: string): void => void printed.push(text.replaceAll(out, 'OUT'))
    await work(out, { print, progress: (line) => void lines.push(line), width: 140 })
    const files = Object.fromEntries(
      readdirSync(out)
        .toSorted()
        .map((name) => [name, readFileSync(join(out, name), 'utf8')]),
    )
    return { printed: printed.join(''), lines, files }
  } finally {
    rmSync(out, { recursive: true })
  }
}
