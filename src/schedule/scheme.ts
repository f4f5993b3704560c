import type { EndpointPlan, HandlerPlan, ModelServerPlan, ProfilePlan, Snapshot } from '#config/snapshot.ts'
import { createFacts } from '#contracts/facts.ts'
import { type ProfileHandler, profileResult, type ScheduleRequest } from '#contracts/schedule.ts'
import { Fault } from '#core/fault.ts'
import { makePlugin } from './make-plugin.ts'
import { Profile, type ProfilePorts } from './profile.ts'

/** What a profile of the snapshot has become: plug-ins, or a handler that chooses among others. */
export type Scheme = Profile | HandledScheme

/** Profiles of which a handler says which run. Its results serve one decision at a time. */
export class HandledScheme {
  /** As the snapshot calls it. */
  readonly name: string
  /** As the handler calls them. */
  readonly names: readonly string[]
  readonly #members: readonly Profile[]
  readonly #handler: ProfileHandler
  readonly #results: { runs: number; readonly slots: Int32Array }

  /** Throws a Fault when the plan names a handler or a profile that there is not. `find` finds a profile with plug-ins. */
  constructor(name: string, plan: HandlerPlan, ports: ProfilePorts, find: (name: string) => Profile | undefined) {
    this.name = name
    this.names = plan.profiles.map((one) => one.name)
    this.#members = plan.profiles.map(({ profile }) => {
      const member = find(profile)
      if (member === undefined) throw new Fault('self', `no profile with plug-ins is named '${profile}'`)
      return member
    })
    // Handlers come before producers: they are made with facts about nothing.
    this.#handler = makePlugin('profile-handler', plan, { ...ports, facts: createFacts(0), profiles: this.names })
    this.#results = { runs: 0, slots: new Int32Array(this.#members.length) }
  }

  /** How many have run for the request under way. */
  get runs(): number {
    return this.#results.runs
  }

  /** Begins with another request. */
  begin(): void {
    this.#results.runs = 0
    this.#results.slots.fill(profileResult.notRun)
  }

  /** Index of the profile to run next; -1 for none. */
  next(request: ScheduleRequest): number {
    if (this.#results.runs === this.#members.length) return -1
    const index = this.#handler.next(request, this.#results)
    if (index >= 0 && this.#results.slots[index] !== profileResult.notRun) {
      throw new Fault('self', `the profile handler of '${this.name}' chose what was not offered`)
    }
    return index
  }

  profileAt(index: number): Profile {
    const profile = this.#members[index]
    if (profile === undefined) throw new Fault('self', `'${this.name}' has no profile ${index}`)
    return profile
  }

  /** Takes what a run has found: a slot or `profileResult.none`. */
  found(index: number, slot: number): void {
    this.#results.runs++
    this.#results.slots[index] = slot
  }

  /** Index of the profile whose pick serves the request; -1 for none. */
  primary(request: ScheduleRequest): number {
    const index = this.#handler.primary(request, this.#results)
    if (index >= 0 && !(this.#results.slots[index]! >= 0)) {
      throw new Fault('self', `the profile handler of '${this.name}' serves a request by a profile that found nothing`)
    }
    return index
  }
}

/** A model server, ready to be picked from. */
export interface Group {
  readonly modelServer: ModelServerPlan
  readonly slots: Int32Array
  readonly scheme: Scheme
}

/** Compiles the profiles of a snapshot, those with plug-ins first, because handlers choose among them. */
export function compileSchemes(plans: Snapshot['profiles'], ports: ProfilePorts): ReadonlyMap<string, Scheme> {
  const entries = Object.entries<ProfilePlan>(plans)
  const plain = new Map(
    entries.flatMap(([name, plan]) => (plan.handler === undefined ? [[name, new Profile(name, plan, ports)]] : [])),
  )
  const find = (name: string): Profile | undefined => plain.get(name)
  const handled = entries.flatMap(([name, { handler }]) =>
    handler === undefined ? [] : [[name, new HandledScheme(name, handler, ports, find)] as const],
  )
  return new Map<string, Scheme>([...plain, ...handled])
}

/** The model servers by key. */
export function compileGroups(
  modelServers: readonly ModelServerPlan[],
  schemes: ReadonlyMap<string, Scheme>,
): ReadonlyMap<string, Group> {
  return new Map(
    modelServers.map((modelServer) => {
      const scheme = schemes.get(modelServer.profile)
      if (scheme === undefined) throw new Fault('self', `no profile is named '${modelServer.profile}'`)
      const slots = Int32Array.from(modelServer.endpoints, ({ slot }) => slot)
      return [modelServer.key, { modelServer, slots, scheme }]
    }),
  )
}

/** Declared capacities by slot; undefined when nobody has declared one. */
export function capacitiesOf(endpoints: readonly (EndpointPlan | undefined)[]): Float64Array | undefined {
  if (!endpoints.some((endpoint) => endpoint?.capacity !== undefined)) return undefined
  return Float64Array.from(endpoints, (endpoint) => endpoint?.capacity ?? 1)
}
