import type { AccessLine } from '#test/end-to-end/support/gateway.ts'
import type { MetricsPage } from '#test/end-to-end/support/metrics.ts'

/** Sums over the lines of the access log, which the metrics must agree with. */
export class LineSums {
  #lines = 0
  #attempts = 0
  #cuts = 0
  #bytesIn = 0
  #bytesOut = 0
  readonly #reasons = new Map<string, number>()
  readonly #aborts = new Map<string, number>()
  readonly #statuses = new Map<string, number>()

  /** Takes a line. */
  add(line: AccessLine): void {
    this.#lines++
    this.#attempts += Number(line.attempts ?? 0)
    if (line.cut === true) this.#cuts++
    this.#bytesIn += Number(line.bytes_in ?? 0)
    this.#bytesOut += Number(line.bytes_out ?? 0)
    addTo(this.#statuses, String(line.status))
    if (line.reason !== undefined) addTo(this.#reasons, String(line.reason))
    if (line.client_abort !== undefined) addTo(this.#aborts, String(line.client_abort))
  }

  /** Where a page of metrics says something else. */
  problems(page: MetricsPage): string[] {
    const problems: string[] = []
    const compare = (what: string, metric: number, lines: number): void => {
      if (metric !== lines) problems.push(`${what}: ${metric} in the metrics, ${lines} in the access log`)
    }
    compare('requests', page.sum('infer_gateway_requests_total'), this.#lines)
    compare('attempts', page.sum('infer_gateway_upstream_attempts_total'), this.#attempts)
    compare('cut streams', page.sum('infer_gateway_streams_cut_total'), this.#cuts)
    compare('bytes in', page.sum('infer_gateway_body_bytes_total', { direction: 'in' }), this.#bytesIn)
    compare('bytes out', page.sum('infer_gateway_body_bytes_total', { direction: 'out' }), this.#bytesOut)
    compare('dropped lines', page.sum('infer_gateway_access_log_lines_dropped_total'), 0)
    for (const [status, lines] of this.#statuses) {
      compare(`status ${status}`, page.sum('infer_gateway_requests_total', { status }), lines)
    }
    for (const [reason, lines] of this.#reasons) {
      if (reason !== 'too-many-connections')
        compare(`refusals ${reason}`, page.sum('infer_gateway_refusals_total', { reason }), lines)
    }
    for (const [phase, lines] of this.#aborts) {
      compare(`aborts ${phase}`, page.sum('infer_gateway_client_aborts_total', { phase }), lines)
    }
    return problems
  }
}

function addTo(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}
