import type { Socket } from 'node:net'

const highWaterMark = 64 * 1024

/** A socket for tests: keeps what is written to it; its peer takes everything at once, unless `isStalled`. */
export class PaperSocket {
  readonly #listeners = new Map<string, (this: PaperSocket, ...args: unknown[]) => void>()
  readonly remoteAddress = '192.0.2.1'
  readonly remotePort = 4711
  isStalled = false
  isPaused = false
  destroyed = false
  wasReset = false
  writableEnded = false
  writableLength = 0
  writableNeedDrain = false
  /** What was written, as latin1. */
  written = ''
  readonly _handle = { bytesWritten: 0, writeQueueSize: 0 }

  /** As the type that the code under test asks for. */
  get socket(): Socket {
    return this as unknown as Socket
  }

  get writableFinished(): boolean {
    return this.writableEnded && this.writableLength === 0
  }

  on(event: string, listener: (this: PaperSocket, ...args: unknown[]) => void): void {
    this.#listeners.set(event, listener)
  }

  off(event: string): void {
    this.#listeners.delete(event)
  }

  emit(event: string, ...args: unknown[]): void {
    this.#listeners.get(event)?.apply(this, args)
  }

  write(data: Buffer | string): boolean {
    this.written += typeof data === 'string' ? data : data.toString('latin1')
    this._handle.bytesWritten += data.length
    if (this.isStalled) this.#wait(data.length)
    this.writableNeedDrain = this.writableLength >= highWaterMark
    return !this.writableNeedDrain
  }

  /** The peer takes so many of the bytes that wait. */
  take(bytes: number): void {
    this.#wait(-bytes)
    if (this.writableLength > 0 || !this.writableNeedDrain) return
    this.writableNeedDrain = false
    this.emit('drain')
  }

  end(): void {
    this.writableEnded = true
  }

  destroy(): void {
    if (this.destroyed) return
    this.destroyed = true
    this.emit('close')
  }

  resetAndDestroy(): void {
    this.wasReset = true
    this.destroy()
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    this.isPaused = false
  }

  #wait(bytes: number): void {
    this.writableLength += bytes
    this._handle.writeQueueSize = this.writableLength
  }
}
