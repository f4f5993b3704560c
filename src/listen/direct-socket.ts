import { Socket } from 'node:net'

/** Who gets what a direct socket has read. */
export interface BytesTaker {
  /** Takes `buffer[0, bytes)`; the memory is used again afterwards. */
  received(buffer: Buffer, bytes: number): void
}

/** What the accepted socket's handle is to us: something to be handed on. */
interface WithHandle {
  _handle: unknown
}

const taker: unique symbol = Symbol('taker')

interface DirectSocket extends Socket {
  [taker]?: BytesTaker | undefined
}

interface OnRead {
  readonly buffer: Buffer
  readonly callback: (this: DirectSocket, bytes: number, buffer: Uint8Array) => boolean
}

const readBufferBytes = 64 * 1024

/**
 * Makes sockets that read into one buffer, shared by all of them, instead of allocating for every read. `net.connect`
 * offers this (`onread`), a server does not, so the accepted socket's handle is moved to a new one; the server must be
 * created with `pauseOnConnect`, so that nothing has been read. Pays for itself in `npm run bench -- 20k`: buffers that
 * the stream allocates are memory outside the collector's heap and cost a full collection each 64 MB.
 */
export class DirectSockets {
  /** One function for all sockets: Node calls it as a method of the socket. */
  readonly #onread: OnRead = {
    buffer: Buffer.allocUnsafeSlow(readBufferBytes),
    callback(bytes, buffer) {
      this[taker]?.received(buffer as Buffer, bytes)
      return true
    },
  }

  /** The socket that takes the place of `accepted`. It reads as soon as it is resumed, or has a `data` listener. */
  adopt(accepted: Socket): Socket {
    const holder = accepted as unknown as WithHandle
    const options = { handle: holder._handle, allowHalfOpen: true, onread: this.#onread }
    holder._handle = null
    return new Socket(options as object)
  }
}

/** Sends what a direct socket reads to `to`, from the next read on; undefined when it is read in another way. */
export function directTo(socket: Socket, to: BytesTaker | undefined): void {
  ;(socket as DirectSocket)[taker] = to
}
