import type { HeaderList } from '#core/header-list.ts'
import type { Refusal, RefusalReason } from '#core/refusal.ts'
import type { Body } from '#core/request.ts'

/** Head of a request as a door hands it on; syntax is checked, meaning is not. */
export interface RequestHead {
  readonly method: string
  /** Origin-form target: path and query. */
  readonly target: string
  readonly headers: HeaderList
}

/** Who the client is, seen through the proxies that the listener trusts. */
export interface ClientOrigin {
  /** Of the client itself: the last address before the trusted proxies. */
  readonly address: string
  readonly scheme: 'http' | 'https'
  /** The authority that the client asked for. */
  readonly host: string
  /** Value of `x-forwarded-for` for whoever comes next: the believed chain and the peer. */
  readonly forwardedFor: string
}

/**
 * One request and its answer at the client's side, whatever protocol version carries it. Owned by the door; the
 * handler must end it exactly once with `reply` or with `start` ... `end` | `cut`.
 */
export interface Exchange {
  readonly head: RequestHead
  /** Complete when `serve` is called; empty before. */
  readonly body: Body
  /** Address of the peer, or the one its PROXY protocol header names. */
  readonly remoteAddress: string
  /** Port of the same. */
  readonly remotePort: number
  /** Whether the client's side is encrypted. */
  readonly isSecure: boolean
  /** Worked out when first asked for. */
  readonly origin: ClientOrigin
  readonly listener: string
  /** When the first byte of the head arrived (Clock.nowMs). */
  readonly startedAtMs: number
  /**
   * Headers that go into the head of the answer, whoever writes it, before its own: set once, before the answer begins
   * (CORS).
   */
  addedHeaders: HeaderList
  /**
   * Whether the client asks to switch to WebSocket (RFC 6455 4.2.1: GET, `upgrade: websocket`, `connection: upgrade`,
   * HTTP/1.1) and this door can.
   */
  readonly asksWebSocket: boolean
  /** True once the client has gone; every write is then ignored. */
  readonly aborted: boolean
  /**
   * Who is told what happens at the client's side. An object with methods and not a pair of functions: closures made
   * for every request keep the collector from freeing the request (npm run bench -- small).
   */
  observer: ExchangeObserver | undefined
  /**
   * A promise that nobody reads the body's memory any more: it may be overwritten by another request. Optional, and
   * harmless to repeat, before the answer ends.
   */
  recycleBody(): void
  /** Sends a complete answer in one write. */
  reply(status: number, headers: HeaderList, body: Buffer): void
  /**
   * Begins a streamed answer; the head leaves with the first flush. `bodyBytes` is the exact length when known; else
   * the door frames the body itself. Connection-level headers (connection, transfer-encoding, content-length,
   * keep-alive) are the door's business and must not be in `headers`. `hasBody` is false for 204, 304 and HEAD.
   */
  start(status: number, headers: HeaderList, bodyBytes: number | undefined, hasBody: boolean): void
  /** Adds bytes of the body: [start, end) of `data`, which is copied or written before `flush` returns. */
  write(data: Buffer, start: number, end: number): void
  /** Sends what was added. False asks the caller to stop until the observer's `drained`. */
  flush(): boolean
  /** Completes the answer. */
  end(): void
  /**
   * Switches protocols, instead of `reply` or `start`: writes a 101 with `headers` (`upgrade` and `connection` among
   * them) and hands the connection over. Only when `asksWebSocket`. `observer` of the exchange hears nothing any more.
   */
  tunnel(headers: HeaderList, observer: TunnelObserver): Tunnel
  /** Ends a streamed answer that is incomplete so that the client can tell: the connection is cut. */
  cut(): void
}

/** Is told what happens at the client's side of an exchange. */
export interface ExchangeObserver {
  /**
   * The client has gone before the answer was complete. At most once. `reason` says why the door sent it away, when it
   * did: `client-too-slow`.
   */
  aborted(reason?: RefusalReason): void
  /** Bytes may flow again after `flush` returned false. */
  drained(): void
}

/** What a door calls. */
export interface ExchangeHandler {
  /** At the head, before the body is read: an early no saves reading it. The refusal is answered through `refuse`. */
  begin(exchange: Exchange): Refusal | undefined
  /** At the end of the body. Never throws. */
  serve(exchange: Exchange): void
  /** Answers a refusal that the door itself found (malformed bytes, limits, timeouts). `exchange` may lack a head. */
  refuse(exchange: Exchange, refusal: Refusal): void
}

/** The client's end of a connection that has switched protocols. Owned by whoever called `tunnel`. */
export interface Tunnel {
  /** Sends `data[start, end)`, which is copied or written before this returns. False asks to stop until `drained`. */
  write(data: Buffer, start: number, end: number): boolean
  /** No more will be written; what was written still arrives. */
  end(): void
  /** Drops the connection at once. The observer hears nothing more. */
  destroy(): void
  /** Stops reading until `resume`. */
  pause(): void
  resume(): void
}

/** Is told what comes from the client through a tunnel. After `closed` nothing more is called. */
export interface TunnelObserver {
  /** The memory behind `data` is valid during the call only. Bytes sent right behind the request head come first. */
  data(data: Buffer, start: number, end: number): void
  /** Bytes may flow again after `write` returned false. */
  drained(): void
  /** The client sends no more; it may still read. */
  ended(): void
  /** The connection is gone, or must go because the door drains and its grace has passed. Exactly once. */
  closed(): void
}
