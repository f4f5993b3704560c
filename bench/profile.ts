/**
 * Where the CPU time of the gateway goes: V8's sampling profiler over all its threads while a case of the benchmark runs.
 *
 *   scripts/run node bench/profile.ts [CASE] [--seconds 5] [--top 25]
 *
 * Self time by folder and by function, as Markdown, in percent of the CPU time that the process used meanwhile
 * (from /proc). V8 sees only what happens inside of JavaScript: a system call that JavaScript makes is charged to the
 * native function that makes it (`writeBuffer`: a write to a socket); what libuv does between two callbacks (reading
 * sockets, epoll) counts as idle. That, and the helper threads, is the rest. Its samples are wall time: where the system
 * permits it the gateway runs under SCHED_FIFO, or a write that wakes the reader would be charged with the reader's turn.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { cases } from './cases.ts'
import { canRunRealtime, exitCodeOf, setRealtime, threadCpuUs } from './processes.ts'
import { gatewayCommand, missingTools, Stack } from './stack.ts'
import { markdownTable } from './table.ts'

/** What `--cpu-prof` writes: the parts that are read. Times in microseconds. */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  }[]
  /** On the monotonic clock, as `timeDeltas` between the samples. */
  readonly startTime: number
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

/** Self time of one function, or of one folder. */
interface Share {
  readonly name: string
  readonly place: string
  readonly folder: string
  us: number
}

/** Of the profiled time, on the monotonic clock. */
interface Window {
  readonly fromUs: number
  readonly toUs: number
}

const sampleIntervalUs = 1000
const warmUpSeconds = 4
const profilerThread = 'v8:ProfEvntProc'
const root = fileURLToPath(new URL('..', import.meta.url))
/** Waiting, which is not spent. */
const idleNames = new Set(['(idle)', '(root)'])

/** The gateway's command with the profiler on; worker threads inherit it and write a file each. */
function profiledCommand(folder: string): readonly string[] {
  const [, ...args] = gatewayCommand
  const flags = ['--cpu-prof', `--cpu-prof-dir=${folder}`, `--cpu-prof-interval=${sampleIntervalUs}`]
  return [process.execPath, ...flags, 'src/cli/main.ts', ...args]
}

function readProfiles(folder: string): readonly CpuProfile[] {
  const files = readdirSync(folder).filter((name) => name.endsWith('.cpuprofile'))
  return files.map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as CpuProfile)
}

/** Self time per function over all threads within the window, most first, without waiting. */
function functionShares(profiles: readonly CpuProfile[], { fromUs, toUs }: Window): readonly Share[] {
  const shares = new Map<string, Share>()
  for (const { nodes, samples, timeDeltas, startTime } of profiles) {
    const keys = new Map<number, string>()
    for (const { id, callFrame } of nodes) {
      const { functionName, url, lineNumber } = callFrame
      if (idleNames.has(functionName)) continue
      const key = `${functionName} ${url}:${lineNumber}`
      keys.set(id, key)
      if (!shares.has(key)) shares.set(key, { ...describe(functionName, url, lineNumber), us: 0 })
    }
    let time = startTime
    samples.forEach((id, at) => {
      const share = shares.get(keys.get(id) ?? '')
      // A delta is the time since the sample before; its own sample lasts until the next.
      const lasted = timeDeltas[at + 1] ?? 0
      time += timeDeltas[at] ?? 0
      if (share && time >= fromUs && time < toUs) share.us += lasted
    })
  }
  return [...shares.values()].filter(({ us }) => us > 0).toSorted((a, b) => b.us - a.us)
}

function describe(functionName: string, url: string, lineNumber: number): Omit<Share, 'us'> {
  const name = functionName === '' ? '(anonymous)' : functionName
  if (url === '') return { name, place: 'native', folder: name.startsWith('(') ? name : 'Node, native functions' }
  const place = `${url}:${lineNumber + 1}`
  if (url.startsWith('node:')) return { name, place, folder: 'Node, JavaScript part' }
  if (url.startsWith('wasm:')) return { name, place, folder: 'WebAssembly: prompt hashes, prefix index' }
  const path = url.replace('file://', '').replace(root, '')
  const [top = '', folder = ''] = path.split('/')
  return { name, place: `${path}:${lineNumber + 1}`, folder: top === 'src' ? `src/${folder}` : `${top}/${folder}` }
}

function folderShares(shares: readonly Share[]): readonly Share[] {
  const folders = new Map<string, Share>()
  for (const { folder, us } of shares) {
    const sum = folders.get(folder)
    if (sum) sum.us += us
    else folders.set(folder, { name: folder, place: '', folder, us })
  }
  return [...folders.values()].toSorted((a, b) => b.us - a.us)
}

/** CPU time by thread between two readings, most first, without the profiler's own threads. */
function threadShares(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): readonly Share[] {
  return [...after]
    .filter(([name]) => name !== profilerThread)
    .map(([name, us]) => ({ name, place: '', folder: '', us: us - (before.get(name) ?? 0) }))
    .toSorted((a, b) => b.us - a.us)
}

function render(threads: readonly Share[], shares: readonly Share[], top: number): string {
  const used = threads.reduce((sum, { us }) => sum + us, 0)
  const seen = shares.reduce((sum, { us }) => sum + us, 0)
  const total = Math.max(used, seen)
  const percent = (us: number): string => `${((us / total) * 100).toFixed(1)} %`
  const worthALine = ({ us }: Share): boolean => us / total >= 0.002
  const rest = ['reading sockets, epoll, helper threads', percent(total - seen)]
  const folders = folderShares(shares).filter(worthALine)
  return [
    markdownTable(
      ['thread', 'CPU time'],
      threads.filter(worthALine).map(({ name, us }) => [`\`${name}\``, percent(us)]),
    ),
    markdownTable(['where', 'self time'], [...folders.map(({ name, us }) => [name, percent(us)]), rest]),
    markdownTable(
      ['function', 'where', 'self time'],
      shares.slice(0, top).map(({ name, place, us }) => [`\`${name}\``, place, percent(us)]),
    ),
  ].join('\n\n')
}

function monotonicUs(): number {
  return Number(process.hrtime.bigint() / 1000n)
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { seconds: { type: 'string', default: '5' }, top: { type: 'string', default: '25' } },
  })
  const plan = cases.find(({ name }) => name === (positionals[0] ?? 'small'))
  if (!plan) throw new Error(`unknown case ${positionals[0]}; there are: ${cases.map(({ name }) => name).join(', ')}`)
  const missing = missingTools()
  if (missing.length > 0) throw new Error(missing.join('\n'))
  const folder = mkdtempSync(join(tmpdir(), 'infer-gateway-profile-'))
  const stack = new Stack(profiledCommand(folder))
  const close = async (): Promise<void> => {
    await stack.close()
    rmSync(folder, { recursive: true, force: true })
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void close().finally(() => process.exit(exitCodeOf(signal))))
  }
  try {
    await stack.build()
    const { gateway } = await stack.start()
    await stack.load('gateway', plan.load, { seconds: warmUpSeconds })
    if (canRunRealtime()) setRealtime(gateway.pid, true)
    const before = { us: monotonicUs(), cpu: threadCpuUs(gateway.pid) }
    const report = await stack.load('gateway', plan.load, { seconds: Number(values.seconds) })
    const after = { us: monotonicUs(), cpu: threadCpuUs(gateway.pid) }
    // The profiles are written when the threads end.
    await stack.stop()
    const profiles = readProfiles(folder)
    if (profiles.length === 0) throw new Error('the gateway wrote no profile: it did not end by itself')
    const threads = threadShares(before.cpu, after.cpu)
    const cpuUsed = threads.reduce((sum, { us }) => sum + us, 0)
    const shares = functionShares(profiles, { fromUs: before.us, toUs: after.us })
    process.stdout.write(`${plan.title}: ${(cpuUsed / report.requests).toFixed(1)} µs a request\n\n`)
    process.stdout.write(`${render(threads, shares, Number(values.top))}\n`)
    return 0
  } finally {
    await close()
  }
}

try {
  process.exitCode = await main()
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
