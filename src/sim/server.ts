import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type Clock, seededRng } from '#core/clock.ts'
import { AdapterTable } from './adapter-table.ts'
import type { Exchange, Route, SimCore } from './api/exchange.ts'
import { type Call, CallRing, callFrom } from './call.ts'
import { CONTROL_ROUTES } from './control.ts'
import { FaultPlan, type SimFault } from './fault.ts'
import { type KvEventSource, KvEvents } from './kv-events/kv-events.ts'
import { LiveEngine } from './live-engine.ts'
import { type EngineName, realPorts, resolveSimOptions, type SimOptions, type SimSettings } from './options.ts'
import { personalities } from './personality/personalities.ts'
import type { Personality } from './personality/personality.ts'
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
  /** Where events of the KV blocks are published, for each rank; empty without `kvEvents`. */
  kvEventSources(): readonly KvEventSource[]
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
  /** Methods of each path. */
  readonly #paths = new Map<string, string[]>()
  readonly #faults = new FaultPlan()
  readonly #ring = new CallRing(KEPT_CALLS)
  readonly #server: Server
  #kvEvents: KvEvents | undefined
  #port = 0
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
    const adapters = new AdapterTable(settings.adapters)
    this.#core = {
      settings,
      clock,
      engine: new LiveEngine(settings.live, clock, adapters),
      adapters,
      startedS: clock.wallMs() / 1000,
      newId: () => hex() + hex(),
      openCalls: () => this.#openCalls,
      port: () => this.#port,
      kvEventSources: () => this.#kvEvents?.sources() ?? [],
    }
    this.#personality = personalities[settings.engine](this.#core)
    this.#core.engine.observe(this.#personality.observer)
    for (const route of this.#personality.routes) {
      this.#routes.set(`${route.method} ${route.path}`, route)
      this.#paths.set(route.path, [...(this.#paths.get(route.path) ?? []), route.method])
    }
    this.#server = createServer({ noDelay: true }, (request, response) => this.#receive(request, response))
    // A client that sends its end has left: engines take it so, too.
    this.#server.on('connection', (socket) => socket.on('end', () => socket.destroy()))
  }

  async listen(): Promise<Sim> {
    const { host, engine, models, baseModel } = this.#settings
    await this.#openKvEvents()
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(this.#settings.port, host, resolve)
    }).catch((error: unknown) => {
      this.#kvEvents?.close()
      throw error
    })
    const address = this.#server.address()
    const port = typeof address === 'object' && address !== null ? address.port : this.#settings.port
    this.#port = port
    const authority = `${host.includes(':') ? `[${host}]` : host}:${port}`
    this.#kvEvents?.announce(authority, baseModel)
    return {
      url: `http://${authority}`,
      port,
      engine,
      models,
      adapters: () => this.#core.adapters.list().map(({ name }) => name),
      stats: () => this.#stats(),
      kvEventSources: () => this.#core.kvEventSources(),
      setFault: (fault) => this.#faults.set(fault),
      drain: () => this.#drain(),
      close: () => this.#close(),
    }
  }

  /** Before the first call can come, so that no event is missed. */
  async #openKvEvents(): Promise<void> {
    const { kvEvents, ranks } = this.#settings
    if (kvEvents === undefined) return
    const { adapters, engine } = this.#core
    this.#kvEvents = await KvEvents.open(kvEvents, ranks, (name) => adapters.get(name)?.path ?? '')
    engine.publishTo(this.#kvEvents)
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
    this.#personality.close?.()
    this.#core.engine.close()
    this.#kvEvents?.close()
  }

  async #close(): Promise<void> {
    this.#personality.close?.()
    this.#core.engine.close()
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.#server.closeAllConnections()
    this.#kvEvents?.close()
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
      const kvEventSources = () => this.#core.kvEventSources()
      const parts = { call, ring: this.#ring, faults: this.#faults, stats: () => this.#stats(), kvEventSources }
      return control(parts, this.#reply(call, response, undefined))
    }
    const route = this.#routeOf(call)
    if (call.method === 'POST') this.#ring.add(call)
    this.#measure(call, route, response)
    let fault: SimFault | undefined
    try {
      fault = this.#faults.take(call.path, route?.isModelCall === true, call.faultText)
    } catch (error) {
      return this.#reply(call, response, undefined).json(400, {
        error: error instanceof Error ? error.message : 'bad fault',
      })
    }
    const answer = () => this.#answer(call, route, this.#reply(call, response, fault), { fault, isTooLarge })
    if (fault?.delayMs === undefined) answer()
    else this.#clock.after(fault.delayMs, answer)
  }

  #reply(call: Call, response: ServerResponse, fault: SimFault | undefined): Reply {
    return new Reply(response, this.#clock, { common: this.#personality.commonHeaders(call), fault })
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
    if (isTooLarge) return this.#personality.refuseHttp(exchange, 413, [])
    if (!this.#isAllowed(call)) return this.#personality.refuseHttp(exchange, 401, [])
    if (route === undefined) {
      const allowed = this.#paths.get(call.path)
      return this.#personality.refuseHttp(exchange, allowed === undefined ? 404 : 405, allowed ?? [])
    }
    try {
      route.handle(exchange)
    } catch (error) {
      // One call that this simulator does not understand must not end it for all others.
      reply.fail(`the simulator failed: ${error instanceof Error ? error.message : String(error)}`)
    }
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
        durationMs: (this.#clock.nowMs() - startMs) * this.#settings.timeFactor,
      })
    })
  }
}
