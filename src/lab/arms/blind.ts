import type { Rng } from '#core/clock.ts'
import type { Arm, ArmDefinition } from '#lab/arm.ts'
import type { Arrival, FleetView } from '#lab/virtual-fleet.ts'
import { TokenAccount } from './token-account.ts'

/** The index of the least value, at random among equal ones. */
export function leastOf(values: ArrayLike<number>, rng: Rng): number {
  let best = 0
  let equals = 0
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!
    if (equals === 0 || value < values[best]!) {
      best = i
      equals = 1
    } else if (value === values[best]! && rng() * ++equals < 1) {
      best = i
    }
  }
  return best
}

/** The places that a request may go to, each as good as the other. */
function allowed(arrival: Arrival, fleet: FleetView): readonly number[] {
  const indexes: number[] = []
  for (let i = 0; i < fleet.engines.length; i++) if (fleet.mayPlace(i, arrival)) indexes.push(i)
  return indexes
}

/** The least of the values of endpoints that the request may go to. */
function leastAllowed(values: ArrayLike<number>, rng: Rng, [arrival, fleet]: readonly [Arrival, FleetView]): number {
  const indexes = allowed(arrival, fleet)
  return (
    indexes[
      leastOf(
        indexes.map((i) => values[i] ?? 0),
        rng,
      )
    ] ?? 0
  )
}

function leastTokens(size: number, rng: Rng): Arm {
  const account = new TokenAccount(size)
  return {
    place(arrival, fleet) {
      const index = leastAllowed(account.contextTokens, rng, [arrival, fleet])
      account.add(arrival, index, arrival.request.promptTokens)
      return index
    },
    onFirstToken: (placed) => account.firstToken(placed.arrival),
    onFinished: (placed) => account.remove(placed.arrival),
    open: () => account.open,
  }
}

/** Rules that know nothing of prompts but their length. */
export const blindArms: readonly ArmDefinition[] = [
  {
    name: 'random',
    kind: 'blind',
    summary: 'any endpoint',
    create: ({ rng }) => ({
      place(arrival, fleet) {
        const indexes = allowed(arrival, fleet)
        return indexes[Math.floor(rng() * indexes.length)] ?? 0
      },
    }),
  },
  {
    name: 'round-robin',
    kind: 'blind',
    summary: 'one endpoint after the other',
    create() {
      let turn = 0
      return {
        place(arrival, fleet) {
          const size = fleet.engines.length
          for (let i = 0; i < size && !fleet.mayPlace(turn % size, arrival); i++) turn++
          return turn++ % size
        },
      }
    },
  },
  {
    name: 'least-request',
    kind: 'blind',
    summary: 'fewest requests in flight',
    create: ({ rng }) => ({ place: (arrival, fleet) => leastAllowed(fleet.inFlight, rng, [arrival, fleet]) }),
  },
  {
    name: 'power-of-two',
    kind: 'blind',
    summary: 'the one with fewer requests in flight of two drawn at random',
    create: ({ rng }) => ({
      place(arrival, fleet) {
        const indexes = allowed(arrival, fleet)
        const first = Math.floor(rng() * indexes.length)
        const second = (first + 1 + Math.floor(rng() * (indexes.length - 1))) % indexes.length
        const loads = [first, second].map((i) => fleet.inFlight[indexes[i] ?? 0] ?? 0)
        return indexes[(loads[1] ?? 0) < (loads[0] ?? 0) ? second : first] ?? 0
      },
    }),
  },
  {
    name: 'least-tokens',
    kind: 'blind',
    summary: 'fewest prompt tokens in flight',
    create: ({ settings, rng }) => leastTokens(settings.length, rng),
  },
]
