import { write as writeFile } from 'node:fs'
import type { MessagePort } from 'node:worker_threads'
import type { Clock } from '#core/clock.ts'

/** Takes batches of whole lines. */
export interface LogSink {
  /**
   * Writes a batch; `done` is called once, later, with whether all of it was written. Batches arrive in the order
   * given. The batch belongs to the sink from here on.
   */
  write(batch: Buffer, done: (ok: boolean) => void): void
}

/** Writes to a file descriptor as `fs.write` does. */
export type WriteCall = (
  fd: number,
  data: Buffer,
  offset: number,
  done: (error: NodeJS.ErrnoException | null, written: number) => void,
) => void

/** A pipe whose reader is slow and that does not block answers EAGAIN; it is asked again after this. */
const retryAfterMs = 10

/** What a pipe takes in one piece, whoever else writes to it (PIPE_BUF of Linux). */
const atomicBytes = 4096
const newLine = 0x0a

/** What `createFdSink` needs. */
export interface FdSinkPorts {
  readonly fd: number
  readonly clock: Clock
  /** Whether another process writes to the same file now; never, unless given. */
  readonly isShared?: () => boolean
  /** For tests; by default the real `fs.write`. */
  readonly write?: WriteCall
}

const writeAll: WriteCall = (fd, data, offset, done) => writeFile(fd, data, offset, data.length - offset, null, done)

/** Up to where a batch is written next: whole lines of a size that a pipe takes in one piece. */
function endOfPiece(batch: Buffer, offset: number): number {
  const limit = offset + atomicBytes
  if (limit >= batch.length) return batch.length
  const last = batch.lastIndexOf(newLine, limit - 1)
  if (last >= offset) return last + 1
  const first = batch.indexOf(newLine, limit)
  return first < 0 ? batch.length : first + 1
}

/**
 * A sink that writes to a file descriptor of the process without blocking its thread. It writes one batch at a time:
 * two writes to one pipe may mix in the middle of lines, so all threads' lines go through one sink (see portSink).
 * While another process writes too, a batch goes in pieces that cannot mix.
 */
export function createFdSink({ fd, clock, isShared = () => false, write = writeAll }: FdSinkPorts): LogSink {
  const waiting: { readonly batch: Buffer; readonly done: (ok: boolean) => void }[] = []
  const next = (): void => {
    const job = waiting[0]
    if (job === undefined) return
    const finish = (ok: boolean): void => {
      waiting.shift()
      next()
      job.done(ok)
    }
    const step = (offset: number): void => {
      const { batch } = job
      const piece = isShared() ? batch.subarray(0, endOfPiece(batch, offset)) : batch
      write(fd, piece, offset, (error, written) => {
        if (error?.code === 'EAGAIN') return void clock.after(retryAfterMs, () => step(offset))
        if (error) return finish(false)
        if (offset + written < batch.length) return step(offset + written)
        finish(true)
      })
    }
    step(0)
  }
  return {
    write(batch, done) {
      waiting.push({ batch, done })
      if (waiting.length === 1) next()
    },
  }
}

/** The end of a message channel that a sink needs. */
export type SinkPort = Pick<MessagePort, 'postMessage' | 'on' | 'unref'>

/** A sink for a data thread: hands batches to the main thread, which serves the other end with `servePortSink`. */
export function portSink(port: SinkPort): LogSink {
  const callbacks: ((ok: boolean) => void)[] = []
  port.on('message', (ok: unknown) => callbacks.shift()?.(ok === true))
  port.unref()
  return {
    write(batch, done) {
      callbacks.push(done)
      const bytes = Uint8Array.from(batch)
      port.postMessage(bytes, [bytes.buffer])
    },
  }
}

/** Writes what a data thread sends through its `portSink` to the sink of the main thread. */
export function servePortSink(port: SinkPort, sink: LogSink): void {
  port.on('message', (bytes: unknown) => {
    if (bytes instanceof Uint8Array) sink.write(Buffer.from(bytes.buffer), (ok) => port.postMessage(ok))
  })
  port.unref()
}
