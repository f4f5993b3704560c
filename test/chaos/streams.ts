/**
 * Many slow streams at once through one data thread: none may be lost, and what each costs is measured. Writes
 * docs/figures/streams.json and .svg. `--streams N --seconds S --interval MS`.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { lineChart } from '#lab/line-chart.ts'
import { RunningGateway } from '#test/end-to-end/support/gateway.ts'
import { freePorts } from '#test/end-to-end/support/ports.ts'
import { sleep, waitFor } from '#test/end-to-end/support/wait.ts'
import { cpuMs, DrillProcess, descriptorLimit, residentBytes } from './processes.ts'
import type { ClientCommand, ClientReport } from './streams-client.ts'
import type { EngineCommand, EngineReport } from './streams-engine.ts'

const { values } = parseArgs({
  options: {
    streams: { type: 'string', default: '10000' },
    seconds: { type: 'string', default: '30' },
    interval: { type: 'string', default: '3000' },
  },
})
const streams = Number(values.streams)
const seconds = Number(values.seconds)
const intervalMs = Number(values.interval)

/**
 * Each stream is two descriptors of the gateway; the rest is what a process has open anyway. Where the system allows
 * fewer, some of the streams share sessions of HTTP/2 and need one.
 */
const needed = 2 * streams + 100
const shared = Math.max(0, needed - descriptorLimit())
if (shared > streams / 10) {
  console.log(
    `${streams} streams need ${needed} open files in the gateway; this system allows ${descriptorLimit()}. ` +
      `Raise the limit (ulimit -Hn ${needed}, as root) or ask for fewer: --streams ${Math.floor((descriptorLimit() - 100) / 2)}`,
  )
  process.exit(2)
}
if (shared > 0) {
  console.log(
    `this system allows ${descriptorLimit()} open files: ${shared} of ${streams} streams share sessions of HTTP/2`,
  )
}

/** Several addresses for the engine: the ports of one pair of addresses would not be enough for many streams. */
const addresses = ['127.0.0.1', '127.0.0.2', '127.0.0.3', '127.0.0.4']
const kibibyte = 1024

interface Sample {
  readonly atS: number
  readonly openStreams: number
  readonly residentMiB: number
}

const engine = new DrillProcess<EngineCommand, EngineReport>('streams-engine.ts')
const client = new DrillProcess<ClientCommand, ClientReport>('streams-client.ts')
let gateway: RunningGateway | undefined
try {
  const port = await freePorts.take()
  engine.tell({ kind: 'listen', addresses, port, intervalMs })
  await engine.report('listening')
  const sharedPort = await freePorts.take()
  const config = {
    threads: 1,
    models: { slow: { endpoints: addresses.map((address) => `http://${address}:${port}`), scrape: false } },
    limits: { connections: streams + 100 },
    log: { access: false },
  }
  const moreListeners = [{ name: 'shared', address: '127.0.0.1', port: sharedPort, http2: true }]
  gateway = await RunningGateway.start(config, { moreListeners })
  process.exitCode = await drill(gateway, sharedPort)
} finally {
  await client.close()
  if (gateway !== undefined && !gateway.hasExited) await gateway.stop('SIGTERM')
  await engine.close()
}

async function drill(running: RunningGateway, sharedPort: number): Promise<number> {
  const { pid } = running
  const openNow = async (): Promise<number> => (await running.metrics()).sum('infer_gateway_requests_in_flight')
  await warmUp(running)
  const startedAtMs = performance.now()
  const samples: Sample[] = []
  const sample = async (): Promise<void> => {
    const openStreams = await openNow()
    const atS = Math.round((performance.now() - startedAtMs) / 100) / 10
    samples.push({ atS, openStreams, residentMiB: Math.round(residentBytes(pid) / kibibyte / 102.4) / 10 })
  }
  const sampling = setInterval(() => void sample(), 500)
  const before = residentBytes(pid)
  client.tell({ kind: 'open', port: running.port, streams, shared, sharedPort })
  const opened = await client.report('open')
  await sleep(2000)
  const idle = residentBytes(pid)
  console.log(`${opened.streams} streams open after ${((performance.now() - startedAtMs) / 1000).toFixed(1)} s`)

  client.tell({ kind: 'measure' })
  engine.tell({ kind: 'send' })
  const cpuBefore = cpuMs(pid)
  await sleep(seconds * 1000)
  const cpuUsedMs = cpuMs(pid) - cpuBefore
  const busy = residentBytes(pid)
  const openInTheEnd = await openNow()
  engine.tell({ kind: 'finish' })
  const { events } = await engine.report('finished')
  await waitFor('end of all streams', async () => (await openNow()) === 0, 30_000).catch(() => undefined)
  await sleep(500)
  client.tell({ kind: 'report' })
  const seen = await client.report('report')
  clearInterval(sampling)
  const figures = {
    streams,
    sharedByHttp2: shared,
    opened: opened.streams,
    stillOpenInTheEnd: openInTheEnd,
    complete: seen.complete,
    lost: seen.lost,
    eventsSent: events,
    eventsReceived: seen.events,
    eventsWrong: seen.wrong,
    intervalMs,
    seconds,
    residentMiBBefore: mebibytes(before),
    residentMiBIdle: mebibytes(idle),
    residentMiBBusy: mebibytes(busy),
    kibPerIdleStream: tenths((idle - before) / kibibyte / streams),
    kibPerStreamAfterEvents: tenths((busy - before) / kibibyte / streams),
    cpuMsPer1000Events: tenths(cpuUsedMs / ((events - streams) / 1000)),
    delayP50Ms: tenths(seen.p50Ms),
    delayP99Ms: tenths(seen.p99Ms),
    delayLongestMs: tenths(seen.longestMs),
    samples,
  }
  write(figures)
  print(figures)
  if (seen.firstProblem !== undefined) console.log(seen.firstProblem)
  const isRight =
    seen.complete === streams &&
    seen.lost === 0 &&
    seen.wrong === 0 &&
    seen.events === events &&
    opened.streams === streams
  console.log(isRight ? 'no stream and no event was lost' : 'STREAMS OR EVENTS WERE LOST')
  return isRight ? 0 : 1
}

type Figures = Readonly<Record<string, number | readonly Sample[]>> & {
  readonly samples: readonly Sample[]
  readonly kibPerIdleStream: number
}

/** The first requests compile code and make what is made once: that is not the price of a stream. */
async function warmUp(running: RunningGateway): Promise<void> {
  for (let i = 0; i < 200; i++) {
    const body = JSON.stringify({ model: 'none', messages: [{ role: 'user', content: 'x' }] })
    const headers = { 'content-type': 'application/json' }
    const response = await fetch(`${running.url}/v1/chat/completions`, { method: 'POST', headers, body })
    await response.arrayBuffer()
  }
}

function write(figures: Figures): void {
  mkdirSync('docs/figures', { recursive: true })
  writeFileSync('docs/figures/streams.json', `${JSON.stringify(figures, undefined, 1)}\n`)
  const { samples } = figures
  writeFileSync(
    'docs/figures/streams.svg',
    lineChart({
      title: `Resident memory with ${streams.toLocaleString('en-US')} slow streams on one data thread`,
      subtitle: `${figures.kibPerIdleStream} KiB for each idle stream, its two sockets included`,
      x: { label: 'seconds' },
      y: { label: 'MiB' },
      series: [{ name: 'resident', points: samples.map(({ atS, residentMiB }) => [atS, residentMiB] as const) }],
    }),
  )
}

function print(figures: Figures): void {
  for (const [name, value] of Object.entries(figures)) {
    if (typeof value === 'number') console.log(`${name.padEnd(26)}${value.toLocaleString('en-US').padStart(12)}`)
  }
}

function mebibytes(bytes: number): number {
  return tenths(bytes / kibibyte / kibibyte)
}

function tenths(value: number): number {
  return Math.round(value * 10) / 10
}
