import type { LoadColumns } from '#contracts/load.ts'

const orNone = (requests: number): number => (Number.isNaN(requests) ? 0 : requests)

/**
 * Requests on an endpoint: ours, known without delay, and those that came from elsewhere, which are what the engine
 * counted (running + waiting) beyond ours of that moment. Adding the two counts as they are would count ours twice,
 * and taking the engine's alone would miss whatever was sent since. When it is not known how many were ours, the
 * greater count stands.
 */
export function requestsOn(loads: LoadColumns, slot: number): number {
  const ours = loads.inFlight[slot]!
  const reported = orNone(loads.running[slot]!) + orNone(loads.waiting[slot]!)
  const oursThen = loads.inFlightAtReport[slot]!
  return Number.isNaN(oursThen) ? Math.max(ours, reported) : ours + Math.max(0, reported - oursThen)
}
