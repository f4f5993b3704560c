import { connect as connectTcp, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import type { ParsedResponseHead } from '#wire/http1/response-head.ts'
import type { Destination } from './destination.ts'
import { HandshakeReader } from './handshake-reader.ts'
import { upstreamTlsOptions } from './upstream-tls.ts'

/** Is told what happens at the engine's side of a tunnel. After `engineClosed` nothing more is called. */
export interface EngineObserver {
  engineConnected(): void
  /** The engine has switched protocols. */
  engineSwitched(head: ParsedResponseHead): void
  /** The engine has answered something else, whole. The connection is of no more use. */
  engineAnswered(head: ParsedResponseHead, body: Buffer): void
  /** The engine's answer is not HTTP, or too much of it. */
  engineMalformed(detail: string): void
  /** The memory behind `data` is valid during the call only. */
  engineData(data: Buffer, start: number, end: number): void
  engineDrained(): void
  /** The engine sends no more; it may still read. */
  engineEnded(): void
  /** The connection is gone, or was never made. */
  engineClosed(detail: string): void
}

/** A connection to one endpoint for one tunnel: never pooled. Owns its socket. */
export class TunnelSocket {
  readonly #observer: EngineObserver
  readonly #socket: Socket
  #handshake: HandshakeReader | undefined = new HandshakeReader()
  #isDropped = false
  #detail = 'the connection was closed'

  constructor({ modelServer, endpoint }: Destination, observer: EngineObserver, readBuffer: Uint8Array) {
    this.#observer = observer
    const { host, port } = endpoint
    const { tls } = modelServer
    if (tls === undefined) {
      const callback = (bytes: number, buffer: Uint8Array): boolean => {
        this.#read(buffer as Buffer, bytes)
        return true
      }
      const onread = { buffer: readBuffer, callback }
      this.#socket = connectTcp({ host, port, noDelay: true, allowHalfOpen: true, onread })
    } else {
      const options = { host, port, allowHalfOpen: true, ...upstreamTlsOptions(endpoint, tls) }
      this.#socket = connectTls(options as ConnectionOptions)
      this.#socket.setNoDelay(true)
      this.#socket.on('data', (chunk: Buffer) => this.#read(chunk, chunk.length))
    }
    this.#listen(tls === undefined ? 'connect' : 'secureConnect')
  }

  /** Sends the handshake as soon as there is a connection. */
  send(head: string): void {
    this.#socket.write(head, 'latin1')
  }

  /** Sends `data[start, end)`, which is copied. False asks to stop until `engineDrained`. */
  write(data: Buffer, start: number, end: number): boolean {
    const socket = this.#socket
    if (end <= start || !socket.writable) return true
    const out = Buffer.allocUnsafe(end - start)
    data.copy(out, 0, start, end)
    return socket.write(out)
  }

  /** No more will be written; what was written still arrives. */
  end(): void {
    this.#socket.end()
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  /** Drops the connection at once. The observer hears nothing more. */
  destroy(): void {
    this.#isDropped = true
    this.#socket.destroy()
  }

  #listen(connectEvent: string): void {
    const socket = this.#socket
    socket.on(connectEvent, () => this.#unlessDropped(() => this.#observer.engineConnected()))
    socket.on('drain', () => this.#unlessDropped(() => this.#observer.engineDrained()))
    socket.on('end', () => this.#unlessDropped(() => this.#ended()))
    socket.on('error', (error: Error) => {
      this.#detail = error.message
    })
    socket.on('close', () => this.#unlessDropped(() => this.#observer.engineClosed(this.#detail)))
  }

  #unlessDropped(tell: () => void): void {
    if (!this.#isDropped) tell()
  }

  #ended(): void {
    const handshake = this.#handshake
    if (handshake === undefined) return this.#observer.engineEnded()
    if (handshake.endOfInput() && handshake.answer !== undefined) {
      return this.#observer.engineAnswered(handshake.answer, handshake.body)
    }
    this.#socket.destroy()
  }

  #read(buffer: Buffer, bytes: number): void {
    if (this.#isDropped) return
    const handshake = this.#handshake
    if (handshake === undefined) return this.#observer.engineData(buffer, 0, bytes)
    handshake.push(buffer, bytes)
    const { answer, rest } = handshake
    if (handshake.error !== undefined) return this.#observer.engineMalformed(handshake.error)
    if (answer === undefined) return
    if (handshake.isComplete) return this.#observer.engineAnswered(answer, handshake.body)
    if (!handshake.hasSwitched) return
    this.#handshake = undefined
    this.#observer.engineSwitched(answer)
    if (rest.length > 0 && !this.#isDropped) this.#observer.engineData(rest, 0, rest.length)
  }
}
