import type { Clock, Rng } from '#core/clock.ts'
import type { EngineCall } from '#sim/model/engine-request.ts'
import type { EngineSettings } from '#sim/model/engine-settings.ts'
import type { Arrival, VirtualFleet } from './virtual-fleet.ts'

/** A request that an arm has placed. */
export interface Placed {
  readonly arrival: Arrival
  /** Index of its endpoint. */
  readonly endpoint: number
  /** Its place in the engine, for reading. */
  readonly call: EngineCall
}

/** One way to place requests, in one run: what is compared. It hears of every request it has placed. */
export interface Arm {
  /** The endpoint of a request, by index, as things stand at its arrival. */
  place(arrival: Arrival, fleet: VirtualFleet): number
  onFirstToken?(placed: Placed, atMs: number): void
  onFinished?(placed: Placed, atMs: number): void
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
  readonly fleet: VirtualFleet
}

/** Whose idea an arm is: nobody's (`blind`), this gateway's (`own`), a peer's as published, or a yardstick that sees all. */
export type ArmKind = 'blind' | 'own' | 'peer' | 'yardstick'

/** An arm that can be asked for by name. */
export interface ArmDefinition {
  /** Kebab-case. */
  readonly name: string
  readonly kind: ArmKind
  /** One line: the rule. */
  readonly summary: string
  create(ports: ArmPorts): Arm
}
