import { randomBytes } from 'node:crypto'
import type { Tunnel, TunnelObserver } from '#contracts/exchange.ts'
import type { Clock } from '#core/clock.ts'
import type { OutcomeDraft } from '#core/outcome.ts'
import { type Refusal, refuse } from '#core/refusal.ts'
import { closeFrame, FrameTracker } from '#wire/websocket-frames.ts'
import type { TunnelSocket } from './tunnel-socket.ts'

/** The engine's end of a tunnel. */
export type EngineEnd = Pick<TunnelSocket, 'write' | 'end' | 'pause' | 'resume' | 'destroy'>

/** What an open tunnel is made of. */
export interface OpenTunnelPlan {
  readonly engine: EngineEnd
  readonly outcome: OutcomeDraft
  readonly clock: Clock
  readonly idleMs: number
  /** The first bytes of the engine have come. */
  readonly firstByte: (nowMs: number) => void
  /** Both sides are gone; called exactly once. */
  readonly ended: () => void
}

/** How long one side may stay when the other has gone: what it still has to read is on its way. */
const lingerMs = 5000
/** How long both may stay when they have been told to go. */
const lastWordsMs = 1000

/** Close codes (RFC 6455 7.4.1 and its registry). */
const goingAway = 1001
const serviceRestart = 1012

/**
 * Bytes both ways between a client and an engine that speak WebSocket with one another. Each side is read only as fast
 * as the other takes it. What passes is not looked at, but for where frames end.
 */
export class OpenTunnel implements TunnelObserver {
  /** Set by the maker before anything can come from it. */
  client: Tunnel | undefined = undefined
  readonly #plan: OpenTunnelPlan
  readonly #toEngine = new FrameTracker()
  readonly #toClient = new FrameTracker()
  #deadlineMs: number
  #clientEnded = false
  #clientGone = false
  #engineEnded = false
  #engineGone = false
  /** Told to end from our side: what still comes is dropped. */
  #isEnding = false
  #hasEnded = false

  constructor(plan: OpenTunnelPlan) {
    this.#plan = plan
    this.#deadlineMs = plan.clock.nowMs() + plan.idleMs
  }

  /** From the client. */
  data(data: Buffer, start: number, end: number): void {
    if (this.#isEnding || this.#engineGone) return
    const { outcome, engine } = this.#plan
    outcome.requestBytes += end - start
    this.#toEngine.push(data, start, end)
    this.#noteBytes()
    if (!engine.write(data, start, end)) this.client?.pause()
  }

  engineData(data: Buffer, start: number, end: number): void {
    if (this.#isEnding || this.#clientGone) return
    const { outcome, engine } = this.#plan
    const nowMs = this.#noteBytes()
    if (outcome.responseBytes === 0) {
      outcome.firstTokenAtMs = nowMs
      this.#plan.firstByte(nowMs)
    }
    outcome.responseBytes += end - start
    outcome.lastTokenAtMs = nowMs
    this.#toClient.push(data, start, end)
    if (this.client?.write(data, start, end) === false) engine.pause()
  }

  /** The client takes bytes again. */
  drained(): void {
    this.#plan.engine.resume()
  }

  engineDrained(): void {
    this.client?.resume()
  }

  /** The client sends no more: neither do we to the engine. */
  ended(): void {
    this.#clientEnded = true
    if (!this.#hasSaidGoodbye) this.#blameClient()
    this.#plan.engine.end()
    this.#linger()
  }

  engineEnded(): void {
    this.#engineEnded = true
    this.#noteEngineEnd()
    this.client?.end()
    this.#linger()
  }

  /** The client's connection is gone: the engine must know at once, or it would go on working for nobody. */
  closed(): void {
    this.#clientGone = true
    if (!this.#clientEnded && !this.#hasSaidGoodbye) this.#blameClient()
    if (!this.#engineGone) {
      if (this.#clientEnded || this.#engineEnded) this.#plan.engine.end()
      else this.#dropEngine()
    }
    this.#linger()
    this.#endIfGone()
  }

  engineClosed(): void {
    this.#engineGone = true
    this.#noteEngineEnd()
    this.client?.end()
    this.#linger()
    this.#endIfGone()
  }

  /** Ends the tunnel from our side, with a close frame to both where one can be put. */
  giveUp(refusal: Refusal, nowMs: number): void {
    if (this.#isEnding || this.#hasEnded) return
    const { outcome } = this.#plan
    outcome.refusal = refusal.reason
    outcome.cut = true
    this.#sayGoodbye(refusal.reason === 'draining' ? serviceRestart : goingAway)
    this.#deadlineMs = nowMs + lastWordsMs
  }

  /** Acts when the tunnel has been silent for too long, or a side did not go when it should. */
  checkDeadline(nowMs: number): void {
    if (nowMs < this.#deadlineMs || this.#hasEnded) return
    if (!this.#isLingering) {
      return this.giveUp(refuse('upstream-idle-timeout', 'Nothing has passed for too long.'), nowMs)
    }
    if (!this.#clientGone) this.client?.destroy()
    this.#clientGone = true
    if (!this.#engineGone) this.#dropEngine()
    this.#endIfGone()
  }

  /** Whether a close frame has passed one way or the other: what follows is an orderly end. */
  get #hasSaidGoodbye(): boolean {
    return this.#toEngine.hasClosed || this.#toClient.hasClosed || this.#isEnding
  }

  get #isLingering(): boolean {
    return this.#isEnding || this.#clientEnded || this.#clientGone || this.#engineEnded || this.#engineGone
  }

  #noteBytes(): number {
    const nowMs = this.#plan.clock.nowMs()
    if (!this.#isLingering) this.#deadlineMs = nowMs + this.#plan.idleMs
    return nowMs
  }

  /** The engine has gone: whose fault it is depends on who had said goodbye. */
  #noteEngineEnd(): void {
    const { outcome, clock } = this.#plan
    if (!Number.isNaN(outcome.upstreamEndAtMs)) return
    outcome.upstreamEndAtMs = clock.nowMs()
    if (this.#hasSaidGoodbye || this.#clientEnded || this.#clientGone) return
    outcome.refusal = 'upstream-reset'
    outcome.errorSource = 'upstream'
    outcome.cut = true
  }

  #blameClient(): void {
    const { outcome } = this.#plan
    if (this.#engineEnded || this.#engineGone) return
    outcome.abort = 'answering'
    outcome.errorSource = 'client'
  }

  /** Close frames go where they cut no frame of the other side in two; then both sides are ended. */
  #sayGoodbye(code: number): void {
    const { client } = this
    const { engine } = this.#plan
    const isClientOpen = !this.#engineEnded && !this.#engineGone && !this.#clientGone
    if (isClientOpen && !this.#toClient.hasClosed && this.#toClient.isBetweenFrames) {
      const frame = closeFrame(code, '')
      client?.write(frame, 0, frame.length)
    }
    const isEngineOpen = !this.#clientEnded && !this.#clientGone && !this.#engineGone
    if (isEngineOpen && !this.#toEngine.hasClosed && this.#toEngine.isBetweenFrames) {
      const frame = closeFrame(code, '', randomBytes(4))
      engine.write(frame, 0, frame.length)
    }
    this.#isEnding = true
    client?.end()
    engine.end()
    // What still comes is read, so that the ends are seen behind it.
    client?.resume()
    engine.resume()
  }

  #linger(): void {
    if (!this.#isEnding) this.#deadlineMs = this.#plan.clock.nowMs() + lingerMs
  }

  #dropEngine(): void {
    this.#plan.engine.destroy()
    this.#engineGone = true
    this.#noteEngineEnd()
  }

  #endIfGone(): void {
    if (!this.#clientGone || !this.#engineGone || this.#hasEnded) return
    this.#hasEnded = true
    this.#plan.ended()
  }
}
