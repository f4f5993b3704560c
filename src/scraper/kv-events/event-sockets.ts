/** Where the events of one rank are published, and where past ones can be asked for. */
export interface EventSource {
  /** As ZeroMQ writes it: `tcp://127.0.0.1:5557`, `ipc:///run/kv`. */
  readonly address: string
  /** Undefined: the engine keeps no past events. */
  readonly replayAddress: string | undefined
}

/** What sockets tell; never called after `close`. Frames are the listener's to keep. */
export interface EventListener {
  /** Connected, anew too: what was sent meanwhile is lost. */
  connected(): void
  disconnected(): void
  live(sequence: number, payload: Uint8Array): void
  /** A past batch that was asked for; then the end, or the failure instead. */
  replayed(sequence: number, payload: Uint8Array): void
  replayEnded(): void
  replayFailed(reason: string): void
}

/** The sockets to one source. */
export interface EventSockets {
  /** Asks for all batches from this number on. A replay under way is dropped: nothing more is told of it. */
  replay(from: number): void
  /** Drops the replay under way. */
  endReplay(): void
  close(): void
}

/** Opens sockets; they connect, and connect again, by themselves. */
export type OpenEventSockets = (source: EventSource, listener: EventListener) => EventSockets
