import { allMetrics, metrics } from '#observe/catalog.ts'
import { createMetricColumns, metricBufferBytes } from '#observe/metric-columns.ts'
import type { Counter, Gauge } from '#observe/metric-handles.ts'
import type { MetricsRegistry } from '#observe/metrics-registry.ts'

const thread = 'main'

/** The metrics that the main thread itself writes. */
export class ControlMetrics {
  readonly #reloadsOk: Counter
  readonly #reloadsFailed: Counter
  readonly #lastOk: Gauge
  readonly #lastTime: Gauge
  readonly #snapshotVersion: Gauge

  constructor(registry: MetricsRegistry, version: string) {
    const buffer = new SharedArrayBuffer(metricBufferBytes)
    registry.addThread(thread, buffer)
    const columns = createMetricColumns({
      buffer,
      definitions: allMetrics,
      onSeries: (series) => registry.series(thread, series),
    })
    this.#reloadsOk = columns.counter(metrics.configReloads, { result: 'ok' })
    this.#reloadsFailed = columns.counter(metrics.configReloads, { result: 'failed' })
    this.#lastOk = columns.gauge(metrics.configReloadOk, {})
    this.#lastTime = columns.gauge(metrics.configReloadTime, {})
    this.#snapshotVersion = columns.gauge(metrics.snapshotVersion, {})
    columns.gauge(metrics.info, { version }).set(1)
  }

  /** A load of the configuration has ended. */
  reloaded(ok: boolean, snapshotVersion: number, wallMs: number): void {
    if (ok) this.#reloadsOk.add(1)
    else this.#reloadsFailed.add(1)
    this.#lastOk.set(ok ? 1 : 0)
    if (ok) this.#lastTime.set(wallMs / 1000)
    this.#snapshotVersion.set(snapshotVersion)
  }
}
