import { randomFillSync } from 'node:crypto'
import { hashText } from './text-hash.ts'

/** Cells that a session may stand in: the one that was used longest ago makes room for a new one. */
const ways = 8

/** Sessions that are remembered. */
const cellCount = 65_536
const secretBytes = 32
const bytesPerCell = 24

/** Size of the memory behind a table. */
const sessionMemoryBytes = secretBytes + cellCount * bytesPerCell

/** Memory for a table, with a random secret at its beginning. */
export function createSessionMemory(): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(sessionMemoryBytes)
  randomFillSync(new Uint8Array(memory, 0, secretBytes))
  return memory
}

/** Where a session is: the row of an endpoint, and a mark by which another endpoint in the same row is told from it. */
export interface SessionPlace {
  readonly row: number
  readonly mark: number
}

/** Seeds of the two halves of a session's key. */
const firstSeed = 0x811c9dc5
const secondSeed = 0x2f0b4a27

/**
 * Remembers where each session was last served, for a bounded number of sessions: the key of a session is two 32-bit
 * hashes of its text, so that two sessions are one by chance in 2^64. Threads share the memory without locks: what two of
 * them write into one cell at once may be mixed up, which costs a session its place and nothing else.
 */
export class SessionTable {
  /** Random, the same for all threads of the memory. */
  readonly secret: Uint8Array
  readonly #usedAtMs: Float64Array
  readonly #first: Int32Array
  readonly #second: Int32Array
  readonly #rows: Int32Array
  readonly #marks: Int32Array

  constructor(memory: SharedArrayBuffer = createSessionMemory()) {
    let at = secretBytes
    const column = (): Int32Array => {
      at += cellCount * 4
      return new Int32Array(memory, at - cellCount * 4, cellCount)
    }
    this.secret = new Uint8Array(memory, 0, secretBytes)
    this.#usedAtMs = new Float64Array(memory, at, cellCount)
    at += cellCount * 8
    this.#first = column()
    this.#second = column()
    this.#rows = column()
    this.#marks = column()
  }

  /** Where a session was last served within `ttlMs` before `nowMs`; undefined when nowhere. */
  find(session: string, nowMs: number, ttlMs: number): SessionPlace | undefined {
    const cell = this.#cellOf(session)
    if (cell < 0 || this.#usedAtMs[cell]! < nowMs - ttlMs) return undefined
    return { row: this.#rows[cell]!, mark: this.#marks[cell]! }
  }

  /** Notes where a session is served at `nowMs`, which is above 0. */
  bind(session: string, { row, mark }: SessionPlace, nowMs: number): void {
    let cell = this.#cellOf(session)
    if (cell < 0) cell = this.#oldestFor(session)
    this.#first[cell] = hashText(session, firstSeed)
    this.#second[cell] = hashText(session, secondSeed)
    this.#rows[cell] = row
    this.#marks[cell] = mark
    this.#usedAtMs[cell] = nowMs
  }

  /** Forgets a session if it is where `place` says. */
  forget(session: string, { row, mark }: SessionPlace): void {
    const cell = this.#cellOf(session)
    if (cell >= 0 && this.#rows[cell] === row && this.#marks[cell] === mark) this.#usedAtMs[cell] = 0
  }

  /** The cell that a session stands in, or -1. */
  #cellOf(session: string): number {
    const first = hashText(session, firstSeed)
    const second = hashText(session, secondSeed)
    const start = startOf(first)
    for (let cell = start; cell < start + ways; cell++) {
      const isUsed = this.#usedAtMs[cell]! > 0
      if (isUsed && this.#first[cell] === first && this.#second[cell] === second) return cell
    }
    return -1
  }

  #oldestFor(session: string): number {
    const start = startOf(hashText(session, firstSeed))
    let oldest = start
    for (let cell = start + 1; cell < start + ways; cell++) {
      if (this.#usedAtMs[cell]! < this.#usedAtMs[oldest]!) oldest = cell
    }
    return oldest
  }
}

function startOf(hash: number): number {
  return ((hash >>> 0) % (cellCount / ways)) * ways
}
