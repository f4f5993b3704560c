import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type Clock, seededRng } from '#core/clock.ts'
import { AdapterTable } from './adapter-table.ts'
import type { Exchange, Route, SimCore } from './api/exchange.ts'
import { type Call, CallRing, callFrom } from './call.ts'
import { CONTROL_ROUTES } from './control.ts'
import { Engine } from './engine.ts'
import { FaultPlan, type SimFault } from './fault.ts'
import { type EngineName, realPorts, resolveSimOptions, type SimOptions, type SimSettings } from './options.ts'
import type { Personality } from './personality/personality.ts'
import { sglangPersonality } from './personality/sglang.ts'
import { tgiPersonality } from './personality/tgi.ts'
import { vllmPersonality } from './personality/vllm.ts'
import { Reply } from './reply.ts'
import type { SimStats } from './stats.ts'

/** A simulated model server that listens. */
export interface Sim {
  /** `http://host:port`, without a slash at the end. */
  readonly url: string
  readonly port: number
  readonly engine: EngineName
  readonly models: readonly string[]
  /** Adapters loaded now. */
  adapters(): readonly string[]
  stats(): SimStats
  /** Makes answers fail from now on, or ends that. */
  setFault(fault: SimFault | undefined): void
  /**
   * Ends as engines under uvicorn do on SIGTERM: accepts no more connections, drops idle ones, finishes the calls that
   * are open. Resolves when the last is answered; the port is then free.
   */
  drain(): Promise<void>
  /** Aborts everything, closes all connections and frees the port. */
  close(): Promise<void>
}

/** Largest request body taken. */
const MAX_BODY_BYTES = 64 * 1024 * 1024

/** How often a drain looks for connections whose call has been answered. */
const IDLE_SWEEP_MS = 10

/** Calls kept for `/sim/last-requests`. */
const KEPT_CALLS = 64

const PERSONALITIES = { vllm: vllmPersonality, sglang: sglangPersonality, tgi: tgiPersonality } as const

/** Starts a simulated model server. Rejects when the port cannot be had, throws a RangeError for senseless options. */
export async function startSim(options: SimOptions = {}): Promise<Sim> {
  const settings = resolveSimOptions(options)
  const server = new SimServer(settings, options.clock ?? realPorts().clock)
  return server.listen()
}

class SimServer {
  readonly #settings: SimSettings
  readonly #clock: Clock
  readonly #core: SimCore
  readonly #personality: Personality
  readonly #routes = new Map<string, Route>()
  readonly #paths = new Set<string>()
  readonly #faults = new FaultPlan()
  readonly #ring = new CallRing(KEPT_CALLS)
  readonly #server: Server
  #openCalls = 0
  #calls = 0

  constructor(settings: SimSettings, clock: Clock) {
    this.#settings = settings
    this.#clock = clock
    const rng = seededRng(settings.seed)
    const hex = () =>
      Math.floor(rng() * 4294967296)
        .toString(16)
        .padStart(8, '0')
    this.#core = {
      settings,
      clock,
      engine: new Engine(settings, clock),
      adapters: new AdapterTable(settings.adapters),
      startedS: clock.wallMs() / 1000,
      newId: () => hex() + hex(),
      openCalls: () => this.#openCalls,
    }
    this.#personality = PERSONALITIES[settings.engine](this.#core)
    this.#core.engine.observe(this.#personality.observer)
    for (const route of this.#personality.routes) {
      this.#routes.set(`${route.method} ${route.path}`, route)
      this.#paths.add(route.path)
    }
    this.#server = createServer({ noDelay: true }, (request, response) => this.#receive(request, response))
    // A client that sends its end has left: engines take it so, too.
    this.#server.on('connection', (socket) => socket.on('end', () => socket.destroy()))
  }

  async listen(): Promise<Sim> {
    const { host, engine, models } = this.#settings
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(this.#settings.port, host, resolve)
    })
    const address = this.#server.address()
    const port = typeof address === 'object' && address !== null ? address.port : this.#settings.port
    return {
      url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`,
      port,
      engine,
      models,
      adapters: () => this.#core.adapters.list().map(({ name }) => name),
      stats: () => this.#stats(),
      setFault: (fault) => this.#faults.set(fault),
      drain: () => this.#drain(),
      close: () => this.#close(),
    }
  }

  #stats(): SimStats {
    const { running, waiting, finished, aborted, usedBlocks, promptTokens, cachedTokens, outputTokens } =
      this.#core.engine.stats()
    const counts = { openCalls: this.#openCalls, calls: this.#calls }
    return { running, waiting, finished, aborted, usedBlocks, promptTokens, cachedTokens, outputTokens, ...counts }
  }

  async #drain(): Promise<void> {
    let isClosed = false
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => {
        isClosed = true
        resolve()
      })
    })
    const dropIdle = (): void => {
      this.#server.closeIdleConnections()
      if (!isClosed) this.#clock.after(IDLE_SWEEP_MS, dropIdle)
    }
    dropIdle()
    await closed
    this.#core.engine.close()
  }

  async #close(): Promise<void> {
    this.#core.engine.close()
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.#server.closeAllConnections()
    await closed
  }

  #receive(request: IncomingMessage, response: ServerResponse): void {
    const parts: Buffer[] = []
    let bytes = 0
    request.on('error', () => {})
    request.on('data', (part: Buffer) => {
      bytes += part.length
      if (bytes <= MAX_BODY_BYTES) parts.push(part)
      else parts.length = 0
    })
    request.on('end', () => {
      const body = parts.length === 1 ? parts[0]! : Buffer.concat(parts)
      this.#dispatch(callFrom(request, body, this.#clock.wallMs()), response, bytes > MAX_BODY_BYTES)
    })
  }

  #dispatch(call: Call, response: ServerResponse, isTooLarge: boolean): void {
    const control = CONTROL_ROUTES.get(`${call.method} ${call.path}`)
    if (control !== undefined) {
      const parts = { call, ring: this.#ring, faults: this.#faults, stats: () => this.#stats() }
      return control(parts, this.#reply(response, undefined))
    }
    const route = this.#routeOf(call)
    if (call.method === 'POST') this.#ring.add(call)
    this.#measure(call, route, response)
    let fault: SimFault | undefined
    try {
      fault = this.#faults.take(call.path, route?.isModelCall === true, call.faultText)
    } catch (error) {
      return this.#reply(response, undefined).json(400, { error: error instanceof Error ? error.message : 'bad fault' })
    }
    const answer = () => this.#answer(call, route, this.#reply(response, fault), { fault, isTooLarge })
    if (fault?.delayMs === undefined) answer()
    else this.#clock.after(fault.delayMs, answer)
  }

  #reply(response: ServerResponse, fault: SimFault | undefined): Reply {
    return new Reply(response, this.#clock, { common: this.#personality.commonHeaders(), fault })
  }

  #answer(
    call: Call,
    route: Route | undefined,
    reply: Reply,
    { fault, isTooLarge }: { readonly fault: SimFault | undefined; readonly isTooLarge: boolean },
  ): void {
    const exchange: Exchange = { core: this.#core, call, reply }
    if (reply.isClosed) return
    if (fault?.kind === 'status') {
      const status = fault.status ?? 500
      const retryAfter = fault.retryAfterS === undefined ? undefined : String(fault.retryAfterS)
      const error = { message: 'injected fault', type: 'SimulatedError', param: null, code: status }
      return reply.json(status, { error }, { 'retry-after': retryAfter })
    }
    if (isTooLarge) return this.#personality.refuseHttp(exchange, 413)
    if (!this.#isAllowed(call)) return this.#personality.refuseHttp(exchange, 401)
    if (route === undefined) return this.#personality.refuseHttp(exchange, this.#paths.has(call.path) ? 405 : 404)
    route.handle(exchange)
  }

  #isAllowed({ path, headers }: Call): boolean {
    const { apiKey } = this.#settings
    if (apiKey === undefined || !this.#personality.isProtected(path)) return true
    return headers.get('authorization') === `Bearer ${apiKey}`
  }

  #routeOf({ method, path }: Call): Route | undefined {
    const exact = this.#routes.get(`${method} ${path}`)
    if (exact !== undefined) return exact
    return path.startsWith('/v1/models/') ? this.#routes.get(`${method} /v1/models/{id}`) : undefined
  }

  #measure(call: Call, route: Route | undefined, response: ServerResponse): void {
    const startMs = this.#clock.nowMs()
    const isModelCall = route?.isModelCall === true
    if (isModelCall) {
      this.#openCalls++
      this.#calls++
    }
    response.once('close', () => {
      if (isModelCall) this.#openCalls--
      this.#personality.recordHttp({
        handler: route?.path ?? 'none',
        method: call.method,
        status: response.statusCode,
        requestBytes: call.body.length,
        responseBytes: Number(response.getHeader('content-length') ?? 0),
        durationMs: this.#clock.nowMs() - startMs,
      })
    })
  }
}
