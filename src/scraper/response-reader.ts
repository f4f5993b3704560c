import { ChunkDecoder } from '#wire/http1/chunk-decoder.ts'
import { type ParsedResponseHead, parseResponseHead } from '#wire/http1/response-head.ts'

/** Longest body read. */
export const maxBodyBytes = 4 * 1024 * 1024

const maxHeadBytes = 16 * 1024
const maxHeaders = 128
const maxInterimHeads = 8
const firstStoreBytes = 128 * 1024
const keptStores = 16
const headEnd = Buffer.from('\r\n\r\n')

/** What a reader says after each piece: not finished, finished, or what is wrong. */
export type ReadState = 'more' | 'done' | { readonly error: string; readonly reason: 'protocol' | 'too-large' }

/**
 * Buffers for responses that come in several pieces, handed around between connections: hundreds of endpoints that
 * are read in turn need few of them.
 */
export class ResponseStores {
  readonly #free: Buffer[] = []

  take(bytes: number): Buffer {
    const store = this.#free.pop()
    if (store !== undefined && store.length >= bytes) return store
    return Buffer.allocUnsafeSlow(Math.max(firstStoreBytes, 2 ** Math.ceil(Math.log2(bytes))))
  }

  give(store: Buffer): void {
    if (this.#free.length < keptStores && store.length <= 4 * firstStoreBytes) this.#free.push(store)
  }
}

/**
 * Reads one HTTP/1.1 response strictly, from pieces of any size. A response that comes in one piece is read in place,
 * without a copy; chunks are moved together within the piece.
 */
export class ResponseReader {
  /** Undefined until the head is complete. */
  head: ParsedResponseHead | undefined = undefined
  readonly #stores: ResponseStores
  /** The piece itself, or the store that pieces are collected in. */
  #bytes: Buffer = Buffer.alloc(0)
  #store: Buffer | undefined = undefined
  #length = 0
  #bodyStart = 0
  /** Chunked: end of the decoded part. */
  #bodyEnd = 0
  #chunks: ChunkDecoder | undefined = undefined
  #interimHeads = 0

  constructor(stores: ResponseStores) {
    this.#stores = stores
  }

  /** Whether any byte of the response has come. */
  get started(): boolean {
    return this.#length > 0 || this.#interimHeads > 0
  }

  /** The body, once `done`; valid until `release`. */
  get body(): Buffer {
    return this.#bytes.subarray(this.#bodyStart, this.#bodyEnd)
  }

  /** Takes the next piece, which may be changed, and need not stay after the call unless it answers `done`. */
  push(piece: Buffer): ReadState {
    if (this.#store === undefined && this.#length === 0) {
      this.#bytes = piece
      this.#length = piece.length
    } else this.#append(piece)
    const state = this.#advance()
    if (state === 'more' && this.#store === undefined) this.#keep()
    return state
  }

  /** Tells that the connection has ended. */
  end(): ReadState {
    if (this.head?.body === 'close') {
      this.#bodyEnd = this.#length
      return 'done'
    }
    return { error: 'the connection ended within the response', reason: 'protocol' }
  }

  /** Gives the memory back and makes the reader ready for the next response. */
  release(): void {
    if (this.#store !== undefined) this.#stores.give(this.#store)
    this.#store = undefined
    this.#bytes = Buffer.alloc(0)
    this.#length = 0
    this.#bodyStart = 0
    this.#bodyEnd = 0
    this.#chunks = undefined
    this.#interimHeads = 0
    this.head = undefined
  }

  #keep(): void {
    const store = this.#stores.take(this.#length)
    this.#bytes.copy(store, 0, 0, this.#length)
    this.#store = store
    this.#bytes = store
  }

  #append(piece: Buffer): void {
    const length = this.#length + piece.length
    const old = this.#store
    if (old === undefined || old.length < length) {
      const store = this.#stores.take(length)
      this.#bytes.copy(store, 0, 0, this.#length)
      if (old !== undefined) this.#stores.give(old)
      this.#store = store
      this.#bytes = store
    }
    piece.copy(this.#bytes, this.#length)
    this.#length = length
  }

  #advance(): ReadState {
    while (this.head === undefined) {
      const state = this.#readHead()
      if (state !== undefined) return state
    }
    switch (this.head.body) {
      case 'none':
        return this.#complete(this.#bodyStart)
      case 'length':
        if (this.head.bodyBytes > maxBodyBytes) return tooLarge()
        return this.#complete(this.#bodyStart + this.head.bodyBytes)
      case 'chunked':
        return this.#readChunks()
      default:
        return this.#length - this.#bodyStart > maxBodyBytes ? tooLarge() : 'more'
    }
  }

  /** Reads a head; undefined when it was an interim one (1xx) or complete, so that the caller goes on. */
  #readHead(): ReadState | undefined {
    const view = this.#bytes.subarray(0, this.#length)
    const end = view.indexOf(headEnd, this.#bodyStart)
    if (end < 0) return this.#length - this.#bodyStart > maxHeadBytes ? tooLarge() : 'more'
    const head = parseResponseHead(view.toString('latin1', this.#bodyStart, end + 2), maxHeaders, false)
    if (typeof head === 'string') return { error: head, reason: 'protocol' }
    this.#bodyStart = end + headEnd.length
    this.#bodyEnd = this.#bodyStart
    if (head.status < 200) {
      if (head.status === 101 || ++this.#interimHeads > maxInterimHeads) {
        return { error: 'an unexpected interim response', reason: 'protocol' }
      }
      return undefined
    }
    this.head = head
    if (head.body === 'chunked') this.#chunks = new ChunkDecoder()
    return undefined
  }

  #complete(end: number): ReadState {
    this.#bodyEnd = end
    if (this.#length < end) return 'more'
    return this.#length > end ? unasked() : 'done'
  }

  /** Decodes what has come and moves it to the end of what is decoded already. */
  #readChunks(): ReadState {
    const chunks = this.#chunks as ChunkDecoder
    let pos = this.#bodyEnd
    let end = this.#bodyEnd
    while (pos < this.#length && !chunks.done) {
      pos = chunks.next(this.#bytes, pos, this.#length)
      if (chunks.error !== undefined) return { error: chunks.error, reason: 'protocol' }
      if (chunks.dataEnd > chunks.dataStart) {
        this.#bytes.copyWithin(end, chunks.dataStart, chunks.dataEnd)
        end += chunks.dataEnd - chunks.dataStart
      }
    }
    this.#bodyEnd = end
    if (end - this.#bodyStart > maxBodyBytes) return tooLarge()
    if (!chunks.done) {
      this.#length = end
      return 'more'
    }
    return pos < this.#length ? unasked() : 'done'
  }
}

function tooLarge(): ReadState {
  return { error: 'the response is too large', reason: 'too-large' }
}

function unasked(): ReadState {
  return { error: 'bytes follow the response', reason: 'protocol' }
}
