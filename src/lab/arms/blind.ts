import type { Rng } from '#core/clock.ts'
import type { Arm, ArmDefinition } from '#lab/arm.ts'
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

function leastTokens(size: number, rng: Rng): Arm {
  const account = new TokenAccount(size)
  return {
    place(arrival) {
      const index = leastOf(account.contextTokens, rng)
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
    create: ({ rng }) => ({ place: (_, { engines }) => Math.floor(rng() * engines.length) }),
  },
  {
    name: 'round-robin',
    kind: 'blind',
    summary: 'one endpoint after the other',
    create() {
      let turn = 0
      return { place: (_, { engines }) => turn++ % engines.length }
    },
  },
  {
    name: 'least-request',
    kind: 'blind',
    summary: 'fewest requests in flight',
    create: ({ rng }) => ({ place: (_, { inFlight }) => leastOf(inFlight, rng) }),
  },
  {
    name: 'power-of-two',
    kind: 'blind',
    summary: 'the one with fewer requests in flight of two drawn at random',
    create: ({ rng }) => ({
      place(_, { inFlight }) {
        const first = Math.floor(rng() * inFlight.length)
        if (inFlight.length < 2) return first
        const second = (first + 1 + Math.floor(rng() * (inFlight.length - 1))) % inFlight.length
        return inFlight[second]! < inFlight[first]! ? second : first
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
