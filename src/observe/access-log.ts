import type { Clock, Timer } from '#core/clock.ts'
import type { Outcome } from '#core/outcome.ts'
import { createTimeFormat, maxLineBytes, writeAccessLine } from './access-line.ts'
import { LineWriter } from './line-writer.ts'
import type { LogSink } from './log-sink.ts'

/** A batch is full at this size; one that is not goes when its first line has waited `flushAfterMs`. */
const batchBytes = 64 * 1024
const flushAfterMs = 100
/** Bytes that may wait for the sink; lines beyond are dropped, because a slow reader must not cost memory. */
const maxPendingBytes = 8 * 1024 * 1024

/** Where requests are logged. */
export interface AccessLog {
  /** Adds the line of a request. Never waits, never throws. */
  write(outcome: Outcome): void
  /** Resolves when every line written so far has reached the sink or is lost. */
  flush(): Promise<void>
}

/** What `createAccessLog` needs. */
export interface AccessLogPorts {
  readonly sink: LogSink
  readonly clock: Clock
  /** Told about lines that were dropped: by the bound, or by a sink that failed. */
  readonly onDropped: (lines: number) => void
}

class BatchedLog implements AccessLog {
  readonly #ports: AccessLogPorts
  readonly #timeText = createTimeFormat()
  readonly #line = new LineWriter(batchBytes + maxLineBytes)
  #lines = 0
  #pendingBytes = 0
  #sentBatches = 0
  #doneBatches = 0
  #timer: Timer | undefined
  #waiters: { readonly batches: number; readonly resolve: () => void }[] = []

  constructor(ports: AccessLogPorts) {
    this.#ports = ports
  }

  write(outcome: Outcome): void {
    const { clock, onDropped } = this.#ports
    if (this.#pendingBytes + this.#line.length > maxPendingBytes) return onDropped(1)
    const startedWallMs = clock.wallMs() - (clock.nowMs() - outcome.startedAtMs)
    writeAccessLine(this.#line, outcome, this.#timeText(startedWallMs))
    this.#lines++
    if (this.#line.length >= batchBytes) this.#send()
    else this.#timer ??= clock.after(flushAfterMs, () => this.#send())
  }

  flush(): Promise<void> {
    this.#send()
    const batches = this.#sentBatches
    if (this.#doneBatches === batches) return Promise.resolve()
    return new Promise((resolve) => this.#waiters.push({ batches, resolve }))
  }

  #send(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    if (this.#lines === 0) return
    const batch = Buffer.from(this.#line.bytes.subarray(0, this.#line.length))
    const lines = this.#lines
    this.#line.length = 0
    this.#lines = 0
    this.#pendingBytes += batch.length
    this.#sentBatches++
    this.#ports.sink.write(batch, (ok) => this.#sent(batch.length, ok ? 0 : lines))
  }

  #sent(bytes: number, lost: number): void {
    this.#pendingBytes -= bytes
    this.#doneBatches++
    if (lost > 0) this.#ports.onDropped(lost)
    while (this.#waiters[0] !== undefined && this.#waiters[0].batches <= this.#doneBatches)
      this.#waiters.shift()?.resolve()
  }
}

/** Creates an access log. */
export function createAccessLog(ports: AccessLogPorts): AccessLog {
  return new BatchedLog(ports)
}
