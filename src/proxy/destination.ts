import type { EndpointPlan, ModelServerPlan } from '#config/snapshot.ts'
import type { Lease } from '#datastore/lease.ts'

/** Where a request goes: an endpoint, reserved by a lease that the forwarder releases. */
export interface Destination {
  readonly modelServer: ModelServerPlan
  readonly endpoint: EndpointPlan
  readonly lease: Lease
  /** Name the engine knows the model by; undefined when the body may stay as it is. */
  readonly upstreamModel: string | undefined
  /** Why this endpoint; its text is asked for once, at the end, for the access log. */
  readonly decision: { text(): string }
  /** The same at length, for the client; undefined when it did not ask. */
  readonly explained?: string | undefined
}
