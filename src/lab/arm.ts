import type { Clock, Rng } from '#core/clock.ts'
import type { EngineCall } from '#sim/model/engine-request.ts'
import type { EngineSettings } from '#sim/model/engine-settings.ts'
import type { Arrival, FleetView } from './virtual-fleet.ts'

/** A request that an arm has placed. */
export interface Placed {
  readonly arrival: Arrival
  /** Index of its endpoint. */
  readonly endpoint: number
  /** Index of the endpoint that has decoded it, where that is another one. */
  readonly decodeEndpoint?: number
  /** Its place in the engine, for reading; of one whose connection was refused, a place it never had. */
  readonly call: EngineCall
}

/**
 * One way to place requests, in one run: what is compared. It hears of every request it has placed. On an engine that only
 * prefills a request ends after its first token, and goes on with `placeDecode`.
 */
export interface Arm {
  /**
   * The endpoint of a request, by index, as things stand now: one of those that `fleet.mayPlace` allows. A request that failed
   * is placed again as another arrival, which names where it failed. -1 refuses it: it fails.
   */
  place(arrival: Arrival, fleet: FleetView): number
  /**
   * The endpoint that decodes a request whose prompt an engine has prefilled, by index: one of those that `fleet.mayDecode` allows;
   * -1 gives it up. Without it the one with the fewest requests in flight.
   */
  placeDecode?(arrival: Arrival, fleet: FleetView): number
  onFirstToken?(placed: Placed, atMs: number): void
  onFinished?(placed: Placed, atMs: number): void
  /** The connection was refused, or broke off. Without it `onFinished` hears of it, with a call that is `cancelled`. */
  onFailed?(placed: Placed, atMs: number): void
  /** What `placeDecode` has placed has ended there: well if its call is `finished`. */
  onDecodeEnded?(placed: Placed, atMs: number): void
  /** Requests it holds for under way; 0 after a run, or it has lost count. */
  open?(): number
}

/** What an arm is made with. */
export interface ArmPorts {
  /** The engines it will place on, each as it is configured. */
  readonly settings: readonly EngineSettings[]
  /** The time of the run. */
  readonly clock: Clock
  /** Its own randomness, apart from that of the workload. */
  readonly rng: Rng
  /** The engines themselves; for what a gateway learns from their pages and events. */
  readonly fleet: FleetView
}

/** Whose idea an arm is: nobody's (`blind`), this gateway's (`own`), a peer's as published, or a yardstick that sees all. */
export type ArmKind = 'blind' | 'own' | 'peer' | 'yardstick'

/** A constant of an arm that can be set to something else. */
export interface ArmParameter {
  /** What it is, with its unit. */
  readonly meaning: string
  /** As published, or as the project's own code has it. */
  readonly value: number
  /** Values worth trying, the published one among them. */
  readonly grid: readonly number[]
}

/** Values of parameters by name; what is not named has its default. */
export type ArmValues = Readonly<Record<string, number>>

/** An arm that can be asked for by name. */
export interface ArmDefinition {
  /** Kebab-case. */
  readonly name: string
  readonly kind: ArmKind
  /** One line: the rule. */
  readonly summary: string
  /** Where a peer's rule and constants are published. */
  readonly source?: string
  /** What can be set, by name; none without it. */
  readonly parameters?: Readonly<Record<string, ArmParameter>>
  /** Its engines have one pool of KV blocks together: no fleet can do that. */
  readonly poolsCaches?: boolean
  create(ports: ArmPorts, values?: ArmValues): Arm
}

/** The same arm with other values, under another name. Throws a RangeError for a parameter that it does not have. */
export function armWith(arm: ArmDefinition, name: string, values: ArmValues): ArmDefinition {
  for (const key of Object.keys(values)) {
    if (arm.parameters?.[key] === undefined) throw new RangeError(`${arm.name} has no parameter '${key}'`)
  }
  return { ...arm, name, create: (ports) => arm.create(ports, values) }
}

/** Every parameter with the value given for it, else its default. */
export function completeValues<Name extends string>(
  parameters: Readonly<Record<Name, ArmParameter>>,
  given: ArmValues = {},
): Readonly<Record<Name, number>> {
  const entries = Object.entries<ArmParameter>(parameters).map(([name, { value }]) => [name, given[name] ?? value])
  return Object.fromEntries(entries) as Record<Name, number>
}
