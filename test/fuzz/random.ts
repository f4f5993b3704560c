import { seededRng } from '#core/clock.ts'

/** Choices from a seed. */
export class Random {
  readonly next: () => number

  constructor(seed: number) {
    this.next = seededRng(seed)
  }

  /** A whole number in [0, below). */
  below(below: number): number {
    return Math.floor(this.next() * below)
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T
  }

  /** `count` results of `make`. */
  times<T>(count: number, make: () => T): T[] {
    return Array.from({ length: count }, make)
  }

  /** Where to cut `length` bytes: from not at all to everywhere. */
  cuts(length: number): number[] {
    if (length < 2) return []
    if (this.chance(0.1)) return Array.from({ length: length - 1 }, (_, i) => i + 1)
    const cuts = this.times(1 + this.below(this.chance(0.5) ? 3 : 12), () => 1 + this.below(length - 1))
    return [...new Set(cuts)].toSorted((a, b) => a - b)
  }
}

/** `data` cut at ascending offsets. */
export function slicesOf(data: Buffer, cuts: readonly number[]): Buffer[] {
  const slices: Buffer[] = []
  let from = 0
  for (const cut of [...cuts, data.length]) {
    if (cut <= from || cut > data.length) continue
    slices.push(data.subarray(from, cut))
    from = cut
  }
  return slices
}
