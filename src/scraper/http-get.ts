import net from 'node:net'
import tls from 'node:tls'
import { Fault } from '#core/fault.ts'
import type { CreateGetClient, GetAnswer, GetClient, GetFailure, GetTarget } from './get-port.ts'
import { ResponseReader, ResponseStores } from './response-reader.ts'

/**
 * All connections read into this many bytes of shared memory: each read is used up before the next one begins. Large
 * enough that a page of 70 kB mostly comes in one piece.
 */
const readBufferBytes = 256 * 1024

/** Most paths whose request is kept as bytes; there are three per endpoint. */
const maxRequests = 16

/** Creates the maker of clients that speak HTTP/1.1 over `node:net` or `node:tls`. Decision 0008 says why. */
export function createHttpGet(): CreateGetClient {
  const readBuffer = Buffer.allocUnsafeSlow(readBufferBytes)
  const stores = new ResponseStores()
  return (target) => new HttpGetClient(target, readBuffer, new ResponseReader(stores))
}

class HttpGetClient implements GetClient {
  readonly #target: GetTarget
  readonly #readBuffer: Buffer
  readonly #reader: ResponseReader
  readonly #requests = new Map<string, Buffer>()
  #socket: net.Socket | undefined = undefined
  #connected = false
  /** Whether the connection has carried a request before. */
  #used = false
  #request: Buffer = Buffer.alloc(0)
  #done: ((answer: GetAnswer) => void) | undefined = undefined

  constructor(target: GetTarget, readBuffer: Buffer, reader: ResponseReader) {
    this.#target = target
    this.#readBuffer = readBuffer
    this.#reader = reader
  }

  get(path: string, done: (answer: GetAnswer) => void): void {
    if (this.#done !== undefined) throw new Fault('self', 'a second GET while one is under way')
    this.#done = done
    this.#request = this.#requestFor(path)
    this.#send()
  }

  abort(reason: GetFailure): void {
    this.#fail(reason, reason === 'timeout' ? this.#timeoutMessage() : 'ended')
  }

  close(): void {
    this.#done = undefined
    this.#drop()
  }

  #timeoutMessage(): string {
    if (!this.#connected) return 'no connection in time'
    return this.#reader.started ? 'the response was not complete in time' : 'no response in time'
  }

  #send(): void {
    const socket = this.#socket ?? this.#connect()
    socket.write(this.#request)
  }

  #connect(): net.Socket {
    const { host, port, tls: secure } = this.#target
    this.#connected = false
    this.#used = false
    const socket = secure === undefined ? this.#connectPlain(host, port) : connectTls(host, port, secure)
    if (secure !== undefined) socket.on('data', (piece: Buffer) => this.#onPiece(socket, piece))
    socket.on(secure === undefined ? 'connect' : 'secureConnect', () => {
      if (this.#socket === socket) this.#connected = true
    })
    socket.on('end', () => this.#onEnd(socket))
    socket.on('error', (error: NodeJS.ErrnoException) => this.#onError(socket, error))
    socket.on('close', () => this.#onEnd(socket))
    socket.unref()
    this.#socket = socket
    return socket
  }

  #connectPlain(host: string, port: number): net.Socket {
    const buffer = this.#readBuffer
    const socket = net.connect({
      host,
      port,
      noDelay: true,
      onread: {
        buffer,
        callback: (bytes) => {
          this.#onPiece(socket, buffer.subarray(0, bytes))
          return true
        },
      },
    })
    return socket
  }

  #onPiece(socket: net.Socket, piece: Buffer): void {
    if (this.#socket !== socket) return
    // Nothing was asked for, so the connection cannot be trusted with the next request.
    if (this.#done === undefined) return this.#drop()
    this.#settle(this.#reader.push(piece))
  }

  #onEnd(socket: net.Socket): void {
    if (this.#socket !== socket) return
    if (this.#done === undefined) return this.#drop()
    if (this.#retry()) return
    if (this.#reader.started) return this.#settle(this.#reader.end())
    this.#fail('reset', 'the connection ended before the response')
  }

  #onError(socket: net.Socket, error: NodeJS.ErrnoException): void {
    if (this.#socket !== socket) return
    if (this.#done === undefined) return this.#drop()
    if (this.#retry()) return
    this.#fail(this.#connected ? 'reset' : connectFailure(error, this.#target.tls !== undefined), messageOf(error))
  }

  /** A kept connection that the server has closed meanwhile says nothing about the server: try a fresh one, once. */
  #retry(): boolean {
    if (!this.#used || this.#reader.started) return false
    this.#drop()
    this.#send()
    return true
  }

  #settle(state: ReturnType<ResponseReader['push']>): void {
    if (state === 'more') return
    if (state !== 'done') return this.#fail(state.reason, state.error)
    const { head, body } = this.#reader
    if (head === undefined) return this.#fail('protocol', 'no head')
    const done = this.#done
    this.#done = undefined
    this.#used = true
    if (!head.keepAlive) {
      this.#socket?.destroy()
      this.#socket = undefined
    }
    try {
      done?.({ kind: 'answer', status: head.status, body })
    } finally {
      // A get() within the callback may have begun, but nothing of its response has been read yet.
      this.#reader.release()
    }
  }

  #fail(reason: GetFailure, message: string): void {
    const done = this.#done
    this.#done = undefined
    this.#drop()
    done?.({ kind: 'failure', reason, message })
  }

  #drop(): void {
    const socket = this.#socket
    this.#socket = undefined
    this.#connected = false
    this.#reader.release()
    socket?.destroy()
  }

  #requestFor(path: string): Buffer {
    let request = this.#requests.get(path)
    if (request === undefined) {
      if (this.#requests.size >= maxRequests) this.#requests.clear()
      request = requestBytes(this.#target, path)
      this.#requests.set(path, request)
    }
    return request
  }
}

function connectTls(host: string, port: number, secure: NonNullable<GetTarget['tls']>): net.Socket {
  const serverName = secure.serverName ?? (net.isIP(host) === 0 ? host : undefined)
  return tls.connect({
    host,
    port,
    ...(serverName === undefined ? {} : { servername: serverName }),
    ...(secure.ca === undefined ? {} : { ca: secure.ca }),
    rejectUnauthorized: !secure.insecureSkipVerify,
    ALPNProtocols: ['http/1.1'],
  })
}

/** When every address of a name refuses, the error has a code but no text. */
function messageOf(error: NodeJS.ErrnoException): string {
  return error.message === '' ? (error.code ?? 'no connection') : error.message
}

function connectFailure(error: NodeJS.ErrnoException, secure: boolean): GetFailure {
  switch (error.code) {
    case 'ECONNREFUSED':
      return 'refused'
    case 'ECONNRESET':
    case 'EPIPE':
      return 'reset'
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'EHOSTDOWN':
    case 'ETIMEDOUT':
    case 'EADDRNOTAVAIL':
      return 'unreachable'
    default:
      return secure ? 'tls' : 'unreachable'
  }
}

/** The request as bytes. Fields with a byte that HTTP forbids are left out: they would end the head early. */
function requestBytes({ host, port, tls: secure, headers }: GetTarget, path: string): Buffer {
  const fields = new Map([
    ['host', authority(host, port, secure !== undefined)],
    ['accept', '*/*'],
    ['user-agent', 'infer-gateway'],
  ])
  for (const { name, value } of headers) {
    if (isField(name, value)) fields.set(name.toLowerCase(), value)
  }
  const target = path.toWellFormed().replace(/[^\x21-\x7e]/gu, (char) => encodeURIComponent(char))
  const lines = [...fields].map(([name, value]) => `${name}: ${value}\r\n`).join('')
  return Buffer.from(`GET ${target} HTTP/1.1\r\n${lines}\r\n`, 'latin1')
}

/** Headers that this client's own framing depends on. */
const ownHeaders = new Set([
  'accept-encoding',
  'connection',
  'content-length',
  'expect',
  'transfer-encoding',
  'upgrade',
])

function isField(name: string, value: string): boolean {
  if (ownHeaders.has(name.toLowerCase())) return false
  return /^[!#-'*+.^`|~\w-]+$/.test(name) && /^[\t\x20-\x7e\x80-\xff]*$/.test(value)
}

function authority(host: string, port: number, secure: boolean): string {
  const name = host.includes(':') ? `[${host}]` : host
  return port === (secure ? 443 : 80) ? name : `${name}:${port}`
}
