/**
 * What scraping costs: 100 endpoints every 50 ms, each a page captured from vLLM 0.32.0, served by a second process.
 * Prints the CPU time of this process, all its threads, as a share of one core (from /proc/self/stat).
 *
 *   scripts/run node bench/micro/scrape.ts [endpoints] [intervalMs] [seconds]
 */
import { fork } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import net from 'node:net'
import type { EndpointPlan, ModelServerPlan, Snapshot } from '#config/snapshot.ts'
import { seededRng, systemClock } from '#core/clock.ts'
import { createEndpointTable } from '#datastore/endpoint-table.ts'
import { createHttpGet } from '#scraper/http-get.ts'
import { createScraper } from '#scraper/scraper.ts'

const ticksPerSecond = 100

/**
 * Answers like the captured server: the full page, and the wanted names alone when `narrow` and asked for them. Pages
 * alternate between an idle and a busy one, so that lines move and adapters change from page to page.
 */
function serve(): void {
  const page = readFileSync(new URL('../../src/scraper/fixtures/vllm-0.32.0.txt', import.meta.url), 'latin1')
  const busy = page.replaceAll('} 0.0\n', '} 10.0\n').replace('1.7952538950365512e+09', '1.7952539950365512e+09')
  const full = [response(page), response(busy)] as const
  const narrowed = [response(narrowedPage(page)), response(narrowedPage(busy))] as const
  let pages = 0
  const models = response('{"object":"list","data":[{"id":"tiny","parent":null,"max_model_len":8192}]}')
  const server = net.createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => socket.destroy())
    socket.on('data', (request) => {
      const target = request.toString('latin1', 4, 48)
      if (target.startsWith('/v1/models')) socket.write(models)
      else {
        const kind = target.startsWith('/narrow') && target.includes('?name') ? narrowed : full
        socket.write(pages++ % 3 === 0 ? kind[0] : kind[1])
      }
    })
  })
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
}

function narrowedPage(page: string): string {
  const wanted =
    /vllm:(?:num_requests_(?:running|waiting)|kv_cache_usage_perc|cache_config_info|lora_requests_info)[{ ]/
  return page
    .split('\n')
    .filter((line) => wanted.test(line))
    .map((line) => `${line}\n`)
    .join('')
}

function response(body: string): Buffer {
  return Buffer.from(
    `HTTP/1.1 200 OK\r\ndate: Sat, 21 Nov 2026 13:00:00 GMT\r\nserver: uvicorn\r\ncontent-length: ${Buffer.byteLength(body)}\r\n` +
      `content-type: text/plain; version=1.0.0; charset=utf-8\r\n\r\n${body}`,
  )
}

function snapshotOf(count: number, port: number, path: string, intervalMs: number): Snapshot {
  const endpoints: EndpointPlan[] = Array.from({ length: count }, (_, slot) => ({
    id: `127.0.0.1:${port}`,
    slot,
    generation: 1,
    engine: 'vllm',
    // A path of its own for each, or the endpoints would share one page as the ranks of one server do.
    scrape: { path: `${path}/${slot}`, port: undefined, intervalMs },
    host: '127.0.0.1',
    port,
    rank: undefined,
    role: 'both',
    labels: {},
  }))
  const server = { key: 'default/bench', engine: 'vllm', endpoints, tls: undefined, basePath: '', setHeaders: [] }
  return { modelServers: [server as unknown as ModelServerPlan] } as unknown as Snapshot
}

function cpuSeconds(): { readonly user: number; readonly system: number } {
  const stat = readFileSync('/proc/self/stat', 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return { user: Number(fields[11]) / ticksPerSecond, system: Number(fields[12]) / ticksPerSecond }
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

async function measure(port: number, path: string, [count, intervalMs, seconds]: readonly [number, number, number]) {
  const table = createEndpointTable()
  let scrapes = 0
  let bytes = 0
  let totalMs = 0
  const clock = systemClock()
  const scraper = createScraper({
    table,
    clock,
    rng: seededRng(1),
    createGetClient: createHttpGet(),
    adapterId: (name) => name.length,
    observer: {
      scraped(_endpoint, durationMs, pageBytes) {
        scrapes++
        bytes += pageBytes
        totalMs += durationMs
      },
      failed(endpoint, reason) {
        console.error(`${endpoint.id}: ${reason}`)
      },
      healthChanged() {},
      restarted() {},
    },
  })
  scraper.apply(snapshotOf(count, port, path, intervalMs))
  // A timer keeps the process alive, as the scraper's own does not.
  await sleep(2000)
  const before = { ...cpuSeconds(), scrapes, bytes, totalMs, atMs: clock.nowMs() }
  await sleep(seconds * 1000)
  const after = cpuSeconds()
  const elapsed = (clock.nowMs() - before.atMs) / 1000
  const done = scrapes - before.scrapes
  const user = after.user - before.user
  const system = after.system - before.system
  scraper.close()
  return {
    page: path,
    'kB per page': ((bytes - before.bytes) / done / 1000).toFixed(1),
    'scrapes/s': (done / elapsed).toFixed(0),
    'ms each': ((totalMs - before.totalMs) / done).toFixed(2),
    'CPU % of a core': (((user + system) / elapsed) * 100).toFixed(1),
    'of it kernel': ((system / elapsed) * 100).toFixed(1),
    'CPU us each': (((user + system) / done) * 1e6).toFixed(1),
  }
}

async function main(): Promise<void> {
  const numbers = process.argv.slice(2).map(Number)
  const plan = [numbers[0] ?? 100, numbers[1] ?? 50, numbers[2] ?? 8] as const
  const helper = fork(new URL(import.meta.url), ['serve'])
  const port = await new Promise<number>((resolve) => helper.once('message', (message) => resolve(Number(message))))
  console.log(`${plan[0]} endpoints every ${plan[1]} ms, ${plan[2]} s each`)
  // The first seconds are the compiler's.
  await measure(port, '/narrow', plan)
  console.table([await measure(port, '/full', plan), await measure(port, '/narrow', plan)])
  helper.kill()
}

if (process.argv[2] === 'serve') serve()
else await main()
