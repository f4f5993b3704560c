import { Socket } from 'node:net'

/** What the accepted socket's handle is to us: something to be handed on. */
interface WithHandle {
  _handle: unknown
}

interface HandleOptions {
  readonly handle: unknown
  readonly allowHalfOpen: boolean
  readonly onread: { readonly buffer: Uint8Array; readonly callback: (bytes: number, buffer: Uint8Array) => boolean }
}

/**
 * A socket that reads into `buffer` instead of allocating for every read. `net.connect` offers this (`onread`), a
 * server does not, so the accepted socket's handle is moved to a new one; the server must be created with
 * `pauseOnConnect`, so that nothing has been read. Pays for itself in `npm run bench -- 20k`: buffers that the stream
 * allocates are memory outside the collector's heap and cost a full collection each 64 MB.
 *
 * `onBytes` is called with the number of bytes that lie at the beginning of `buffer`, which is used again afterwards.
 */
export function directSocket(accepted: Socket, buffer: Uint8Array, onBytes: (bytes: number) => void): Socket {
  const holder = accepted as unknown as WithHandle
  const options: HandleOptions = {
    handle: holder._handle,
    allowHalfOpen: true,
    onread: {
      buffer,
      callback: (bytes) => {
        onBytes(bytes)
        return true
      },
    },
  }
  holder._handle = null
  return new Socket(options as object)
}
