/**
 * The gate: every stage that a change must pass, in order, with a table at the end. `npm test` and CI run it whole;
 * `node scripts/check.ts STAGE [FILE...]` runs one stage (a test stage then only the named files).
 *
 * The last line is `N passed, N failed[, N skipped]` over the tests of all stages; a failed stage without tests of its
 * own (lint, say) counts as one failure. With CI=true a skipped test is a failure: CI installs what tests need.
 */
import { spawn } from 'node:child_process'
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestResult } from './test-reporter.ts'

interface Stage {
  readonly name: string
  readonly command: readonly string[]
  /** Present on test stages: the files, as globs, that follow the command. */
  readonly tests?: readonly string[]
  /** Not part of the gate: runs only when named. */
  readonly onDemand?: boolean
}

interface StageResult {
  readonly ok: boolean
  readonly seconds: number
  readonly tests?: TestResult
}

const stageLimitMs = 15 * 60_000
const nodeTest = (...flags: string[]): string[] => [
  'node',
  '--test',
  '--test-reporter=./scripts/test-reporter.ts',
  ...flags,
]

const stages: readonly Stage[] = [
  { name: 'format', command: ['biome', 'check'] },
  { name: 'lint', command: ['oxlint', '--type-aware', '--deny-warnings'] },
  { name: 'types', command: ['tsc', '-p', '.'] },
  { name: 'generated', command: ['node', 'scripts/generate.ts', '--check'] },
  {
    name: 'unit',
    command: nodeTest('--test-isolation=none', '--test-timeout=60000'),
    tests: ['src/**/*.test.ts', 'test/*.test.ts', 'conformance/**/*.test.ts', 'bench/*.test.ts'],
  },
  {
    name: 'end-to-end',
    command: nodeTest('--test-concurrency=1', '--test-timeout=180000'),
    tests: ['test/end-to-end/*.test.ts'],
  },
  {
    name: 'engines',
    command: nodeTest('--test-concurrency=1', '--test-timeout=600000'),
    tests: ['test/engines/*.test.ts'],
    onDemand: true,
  },
]

/** Runs a command with our own output streams; resolves to whether it exited with 0. */
function succeeds(command: readonly string[], resultFile: string): Promise<boolean> {
  const [program = '', ...args] = command
  const env = { ...process.env, TEST_RESULT_FILE: resultFile }
  const child = spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit'], env, timeout: stageLimitMs })
  return new Promise((resolve) => {
    child.once('error', (error) => {
      console.log(`${program}: ${error.message}`)
      resolve(false)
    })
    child.once('close', (code, signal) => {
      if (signal) console.log(`ended by ${signal} (the limit of a stage is ${stageLimitMs / 60_000} minutes)`)
      resolve(code === 0)
    })
  })
}

function readResult(file: string): TestResult | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as TestResult
  } catch {
    return undefined
  }
}

async function runStage(stage: Stage, only: readonly string[]): Promise<StageResult> {
  const files = only.length > 0 ? only : globSync([...(stage.tests ?? [])]).toSorted()
  const started = performance.now()
  const seconds = (): number => (performance.now() - started) / 1000
  console.log(`\n-- ${stage.name}: ${[...stage.command, ...(stage.tests ?? [])].join(' ')}`)
  if (stage.tests && files.length === 0) {
    console.log('no test file found')
    return { ok: false, seconds: seconds() }
  }
  const dir = mkdtempSync(join(tmpdir(), 'infer-gateway-check-'))
  const resultFile = join(dir, 'result.json')
  const ok = await succeeds([...stage.command, ...files], resultFile)
  // A run that died before its end wrote no result: its tests are unknown and it counts as one failure.
  const tests = stage.tests ? readResult(resultFile) : undefined
  rmSync(dir, { recursive: true })
  const ranTests = !stage.tests || (tests !== undefined && tests.passed + tests.failed + tests.skipped.length > 0)
  console.log(`-- ${stage.name}: ${ok && ranTests ? 'passed' : 'FAILED'} in ${seconds().toFixed(1)} s`)
  return { ok: ok && ranTests, seconds: seconds(), ...(tests ? { tests } : {}) }
}

function describeTests(tests: TestResult | undefined): string {
  if (!tests) return ''
  const skipped = tests.skipped.length > 0 ? `, ${tests.skipped.length} skipped` : ''
  return `${tests.passed} passed, ${tests.failed} failed${skipped}`
}

function printTable(wanted: readonly Stage[], results: ReadonlyMap<string, StageResult>): void {
  console.log('\nstage        result    seconds   tests')
  for (const { name } of wanted) {
    const result = results.get(name)
    const verdict = result ? (result.ok ? 'passed' : 'FAILED') : 'not run'
    const seconds = result ? result.seconds.toFixed(1) : '-'
    const row = `${name.padEnd(12)} ${verdict.padEnd(9)} ${seconds.padStart(7)}   ${describeTests(result?.tests)}`
    console.log(row.trimEnd())
  }
}

/** Prints the closing lines; the exit code of the whole run. */
function conclude(results: readonly StageResult[]): number {
  const sum = (count: (tests: TestResult) => number): number =>
    results.reduce((total, { tests }) => total + (tests ? count(tests) : 0), 0)
  const skipped = results.flatMap(({ tests }) => tests?.skipped ?? [])
  const withoutTestFailure = results.filter(({ ok, tests }) => !ok && !tests?.failed).length
  const refusesSkips = process.env.CI === 'true' && skipped.length > 0
  const failed = sum((tests) => tests.failed) + withoutTestFailure
  for (const name of skipped) console.log(`skipped: ${name}`)
  if (refusesSkips)
    console.log('A skipped test is a failure when CI=true: scripts/install-test-tools installs what tests need.')
  const tail = skipped.length > 0 && !refusesSkips ? `, ${skipped.length} skipped` : ''
  console.log(`\n${sum((tests) => tests.passed)} passed, ${failed + (refusesSkips ? skipped.length : 0)} failed${tail}`)
  return failed > 0 || refusesSkips ? 1 : 0
}

async function main([name, ...files]: readonly string[]): Promise<number> {
  const wanted = stages.filter((stage) => (name === undefined ? stage.onDemand !== true : stage.name === name))
  if (wanted.length === 0) {
    console.log(`unknown stage ${name}; stages: ${stages.map((stage) => stage.name).join(', ')}`)
    return 2
  }
  const results = new Map<string, StageResult>()
  for (const stage of wanted) {
    const result = await runStage(stage, files)
    results.set(stage.name, result)
    if (!result.ok) break
  }
  printTable(wanted, results)
  return conclude([...results.values()])
}

process.exitCode = await main(process.argv.slice(2))
