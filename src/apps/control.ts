import type { Snapshot } from '#config/snapshot.ts'
import { health } from '#core/endpoint.ts'
import { breakerState } from '#datastore/breaker.ts'
import type { EndpointTable } from '#datastore/endpoint-table.ts'
import type { EndpointReport, ModelReport } from '#observe/status-report.ts'
import { listModels } from '#route/list-models.ts'
import type { ScrapeStatus } from '#scraper/scrape-ports.ts'

const healthNames = {
  [health.unknown]: 'unknown',
  [health.ready]: 'ready',
  [health.unready]: 'unready',
} as const

/** A value of `health` in words. */
export function healthName(value: number): EndpointReport['health'] {
  return healthNames[value as 0 | 1 | 2] ?? 'unknown'
}

/** What the status page says of every endpoint: its row of the table and the state of its scrape. */
export function reportEndpoints(
  snapshot: Snapshot,
  table: EndpointTable,
  scrapes: readonly ScrapeStatus[],
  nowMs: number,
): EndpointReport[] {
  const byId = new Map(scrapes.map((scrape) => [`${scrape.modelServer} ${scrape.endpointId}`, scrape]))
  return snapshot.modelServers.flatMap((server) =>
    server.endpoints.map(({ id, slot, engine }) => {
      const scrape = byId.get(`${server.key} ${id}`)
      return {
        modelServer: server.key,
        endpoint: id,
        engine,
        health: healthName(table.health[slot] ?? 0),
        ...reportBreaker(table, slot, nowMs, server.ejection.slowStartMs),
        running: known(table.running[slot]),
        waiting: known(table.waiting[slot]),
        kvUse: known(table.kvUse[slot]),
        inFlight: Atomics.load(table.inFlight, slot),
        consecutiveErrors: table.consecutiveErrors[slot] ?? 0,
        ttftMs: known(table.ttftMs[slot]),
        tpotMs: known(table.tpotMs[slot]),
        adapters: scrape?.adapters ?? [],
        scrapeAgeMs: scrape?.ageMs,
        scrapeMs: scrape?.durationMs,
        scrapeFailures: scrape?.failures ?? 0,
        scrapeError: scrape?.error,
      }
    }),
  )
}

function reportBreaker(
  table: EndpointTable,
  slot: number,
  nowMs: number,
  slowStartMs: number,
): Pick<EndpointReport, 'state' | 'ejectedForMs' | 'ejections'> {
  const state = breakerState(table, slot, nowMs, slowStartMs)
  return {
    state,
    ejectedForMs: state === 'ejected' ? (table.ejectedUntilMs[slot] ?? 0) - nowMs : undefined,
    ejections: {
      streak: table.ejectionsByStreak[slot] ?? 0,
      ratio: table.ejectionsByRatio[slot] ?? 0,
      probe: table.ejectionsByProbe[slot] ?? 0,
    },
  }
}

/** What clients can name, and where it leads. */
export function reportModels(snapshot: Snapshot): ModelReport[] {
  return listModels(snapshot).map(({ id }) => {
    const route = snapshot.routes.find(({ modelName, adapters }) => modelName === id || adapters.includes(id))
    const targets = route?.rules.flatMap((rule) => rule.targets.map((target) => target.modelServer)) ?? []
    return { name: id, route: route?.name ?? '', modelServers: [...new Set(targets)] }
  })
}

function known(value: number | undefined): number | undefined {
  return value === undefined || Number.isNaN(value) ? undefined : value
}
