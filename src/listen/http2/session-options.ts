import type { ServerSessionOptions } from 'node:http2'
import type { Limits } from '#config/snapshot.ts'

/**
 * Streams of one connection at a time. Proxies in front put all clients on few connections and hold long streams there,
 * so a hundred, as web servers allow, would queue requests in front of an idle gateway; an idle stream costs some 10 KiB.
 */
export const maxConcurrentStreams = 256

/** What a client may send of one body, and of all bodies together, before it is told that it was read. */
const streamWindowBytes = 256 * 1024
export const connectionWindowBytes = 1024 * 1024

/** What a session of node:http2 is made with. */
export type SessionOptions = ServerSessionOptions & {
  readonly streamResetBurst: number
  readonly streamResetRate: number
  readonly strictSingleValueFields: boolean
}

/**
 * The options of the sessions of a listener. A header block is refused with an answer (431) up to twice the limits, and
 * beyond that by the end of its stream, because the memory for it is the client's to fill before anybody looks at it.
 */
export function sessionOptions(limits: Limits): SessionOptions {
  return {
    // Twice what may be open at once, then a hundred a second: the bound of rapid resets below ours (connection.ts).
    streamResetBurst: 2 * maxConcurrentStreams,
    streamResetRate: 100,
    maxHeaderListPairs: 2 * limits.headerCount + 8,
    maxSessionInvalidFrames: 100,
    maxSessionRejectedStreams: maxConcurrentStreams,
    // MB; header tables, blocks and frames of the session itself. Bodies are taken out of it as they come.
    maxSessionMemory: 8,
    // Engines send what they like; it is theirs to repeat a header.
    strictSingleValueFields: false,
    settings: {
      maxConcurrentStreams,
      initialWindowSize: streamWindowBytes,
      maxHeaderListSize: 2 * (limits.headBytes + 32 * limits.headerCount),
      enablePush: false,
    },
  }
}
