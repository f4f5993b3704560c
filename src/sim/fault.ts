/** What can be made to go wrong with an answer. */
export const SIM_FAULT_KINDS = [
  'delay',
  'status',
  'garbage',
  'reset-before-headers',
  'reset-after-headers',
  'reset-after-chunks',
  'truncate',
  'hang-before-headers',
  'hang-mid-stream',
  'wrong-content-length',
] as const

export type SimFaultKind = (typeof SIM_FAULT_KINDS)[number]

/** One thing that goes wrong on purpose. */
export interface SimFault {
  /**
   * `delay`: the answer starts late. `status`: an error of that status. `garbage`: bytes that are not HTTP. `reset-*`: the
   * connection is reset. `truncate`: it is closed cleanly in mid-body. `hang-*`: nothing more comes, the connection stays open.
   * `wrong-content-length`: the length announced is not the length sent.
   */
  readonly kind: SimFaultKind
  /** Answers it applies to before it is used up; unset means all. */
  readonly times?: number
  /** The path (no query) it applies to, whatever the method; unset means every POST except administration. */
  readonly path?: string
  /** Wait before the answer starts; goes with every kind. */
  readonly delayMs?: number
  /** For `status`; default 500. */
  readonly status?: number
  /** For `status`: seconds in `Retry-After`; unset means no such header. */
  readonly retryAfterS?: number
  /** For `reset-after-chunks`, `truncate`, `hang-mid-stream`: chunks sent before; default 1. A unary body counts as two chunks. */
  readonly chunks?: number
  /** For `wrong-content-length`: announced minus sent bytes; default 10. */
  readonly deltaBytes?: number
}

const NUMBERS = ['times', 'delayMs', 'status', 'retryAfterS', 'chunks', 'deltaBytes'] as const

/** Reads a fault from an object, as posted to `/sim/faults`. Throws a TypeError that says what is wrong. */
export function faultFromObject(value: unknown): SimFault {
  if (typeof value !== 'object' || value === null) throw new TypeError('a fault is an object')
  const fields = new Map<string, unknown>(Object.entries(value))
  const kind = SIM_FAULT_KINDS.find((known) => known === fields.get('kind'))
  if (kind === undefined) throw new TypeError(`kind must be one of ${SIM_FAULT_KINDS.join(', ')}`)
  const path = fields.get('path')
  if (path !== undefined && typeof path !== 'string') throw new TypeError('path must be a string')
  const numbers: Record<string, number> = {}
  for (const [name, field] of fields) {
    if (name === 'kind' || name === 'path') continue
    if (!NUMBERS.some((known) => known === name)) throw new TypeError(`a fault has no field ${name}`)
    if (typeof field !== 'number' || !Number.isFinite(field)) throw new TypeError(`${name} must be a number`)
    numbers[name] = field
  }
  return { kind, ...(path === undefined ? {} : { path }), ...numbers }
}

/** Reads the short form `kind;name=value;…`, as in the request header `x-sim-fault` and the prompt marker `SIM_FAULT(…)`. */
export function faultFromText(text: string): SimFault {
  const [kind, ...settings] = text.split(';').map((part) => part.trim())
  const fields: Record<string, unknown> = { kind }
  for (const setting of settings) {
    const [name = '', value = ''] = setting.split('=').map((part) => part.trim())
    fields[name] = name === 'path' ? value : Number(value)
  }
  return faultFromObject(fields)
}

/** Most different texts of markers whose uses are counted. */
const COUNTED_TEXTS = 256

/** Holds the fault in force and decides, once for each request, what goes wrong with it. */
export class FaultPlan {
  #fault: SimFault | undefined
  #uses = 0
  readonly #textUses = new Map<string, number>()

  /** Sets the fault for all requests from now on, or none. */
  set(fault: SimFault | undefined): void {
    this.#fault = fault
    this.#uses = 0
  }

  get current(): SimFault | undefined {
    return this.#fault
  }

  /**
   * The fault for one request, counted as used. The request's own text comes before the one in force; its `times` counts
   * requests with the same text. Throws what {@link faultFromText} throws.
   */
  take(path: string, isModelCall: boolean, text: string | undefined): SimFault | undefined {
    if (text !== undefined) return this.#takeText(text)
    const fault = this.#fault
    if (fault === undefined) return undefined
    if (fault.path === undefined ? !isModelCall : fault.path !== path) return undefined
    if (fault.times !== undefined && this.#uses >= fault.times) return undefined
    this.#uses++
    return fault
  }

  #takeText(text: string): SimFault | undefined {
    const fault = faultFromText(text)
    if (fault.times === undefined) return fault
    const uses = this.#textUses.get(text) ?? 0
    if (uses >= fault.times) return undefined
    this.#textUses.set(text, uses + 1)
    for (const oldest of this.#textUses.keys()) {
      if (this.#textUses.size <= COUNTED_TEXTS) break
      this.#textUses.delete(oldest)
    }
    return fault
  }
}
