import { renderProblems } from '#config/render-problems.ts'
import { loadSnapshot } from '#controller/load-snapshot.ts'
import { systemClock } from '#core/clock.ts'
import { createProcessLog } from '#observe/process-log.ts'
import { builtInProfiles } from '#plugins/built-in-profiles.ts'
import { defaultProfile } from '#plugins/default-profile.ts'
import { plugins } from '#plugins/index.ts'
import { Gateway } from './gateway.ts'
import type { GatewayEvent, GatewayRequest } from './lab-gateway.ts'

/**
 * Entry of the process that serves a laboratory's requests: the gateway of `serve`, with one data thread, its access log on
 * standard output. Arguments: the configuration's file, and a seed.
 */
async function main(): Promise<void> {
  const [file = '', seed = '1'] = process.argv.slice(2)
  const say = (event: GatewayEvent): void => void process.send?.(event)
  // Whoever started it is gone.
  process.once('disconnect', () => process.exit(1))
  const loaded = await loadSnapshot(file, {
    env: {},
    plugins,
    defaultProfile,
    builtInProfiles,
    wallMs: systemClock().wallMs,
  })
  if (!loaded.ok) throw new Error(renderProblems(loaded.problems))
  const gateway = new Gateway({
    version: 'lab',
    snapshot: { ...loaded.snapshot, version: 1 },
    log: createProcessLog({ level: 'warn', pretty: false }),
    accessFd: process.stdout.fd,
    seed: Number(seed),
    threads: 1,
  })
  await gateway.start()
  process.on('message', (request: GatewayRequest) => {
    if (request === 'close') {
      void gateway
        .drain()
        .then(() => gateway.close())
        .then(() => process.exit(0))
    } else {
      const { user, system } = process.cpuUsage()
      const isReady = gateway.status().readiness.ready
      say({ kind: 'state', cpuMs: (user + system) / 1e3, isReady })
    }
  })
  say({ kind: 'started', port: gateway.listeners[0]?.port ?? 0 })
}

await main()
