/**
 * WebAssembly written as expressions of TypeScript: each helper gives the bytes of one expression, so a nested call
 * reads like the formula it computes and no compiled blob has to be trusted. Only what
 * xxh64-code.ts and the code of the prefix index need.
 */

/** Bytes of instructions, in the stack order of the binary format. */
export type Code = readonly number[]

export interface FunctionCode {
  /** Types of the parameters, then of the locals; both are reached by index with `local`. */
  readonly parameters: readonly number[]
  readonly results: readonly number[]
  readonly locals: readonly number[]
  readonly body: Code
  /** Undefined for a function that only other functions call. */
  readonly exportName: string | undefined
}

/** Types of values. */
export const i32 = 0x7f
export const i64 = 0x7e
/** Four 32-bit integers. */
export const i32x4 = 0x7b
const blockWithoutResult = 0x40

function unsigned(value: number): number[] {
  const bytes: number[] = []
  let rest = value
  while (rest > 0x7f) {
    bytes.push((rest & 0x7f) | 0x80)
    rest >>>= 7
  }
  bytes.push(rest)
  return bytes
}

function signed(value: bigint): number[] {
  const bytes: number[] = []
  let rest = BigInt.asIntN(64, value)
  for (;;) {
    const low = Number(rest & 0x7fn)
    rest >>= 7n
    const isLast = (rest === 0n && (low & 0x40) === 0) || (rest === -1n && (low & 0x40) !== 0)
    if (isLast) return [...bytes, low]
    bytes.push(low | 0x80)
  }
}

function operator(opcode: number): (left: Code, right: Code) => Code {
  return (left, right) => [...left, ...right, opcode]
}

function vectorOperator(opcode: number): (left: Code, right: Code) => Code {
  return (left, right) => [...left, ...right, 0xfd, ...unsigned(opcode)]
}

export const number32 = (value: number): Code => [0x41, ...signed(BigInt(value))]
export const number64 = (value: bigint): Code => [0x42, ...signed(value)]
export const local = (index: number): Code => [0x20, ...unsigned(index)]
export const setLocal = (index: number, value: Code): Code => [...value, 0x21, ...unsigned(index)]
export const finish = (value: Code): Code => [...value, 0x0f]

export const equal32 = operator(0x46)
export const unequal32 = operator(0x47)
export const less32 = operator(0x49)
export const lessOrEqual32 = operator(0x4d)
export const signedLess32 = operator(0x48)
export const signedAtLeast32 = operator(0x4e)
export const add32 = operator(0x6a)
export const subtract32 = operator(0x6b)
export const multiply32 = operator(0x6c)
export const remainder32 = operator(0x70)
export const and32 = operator(0x71)
export const or32 = operator(0x72)
export const xor32 = operator(0x73)
export const shiftLeft32 = operator(0x74)
export const shiftRight32 = operator(0x76)
export const add64 = operator(0x7c)
export const multiply64 = operator(0x7e)
export const and64 = operator(0x83)
export const xor64 = operator(0x85)
export const shiftRight64 = operator(0x88)
export const rotateLeft64 = operator(0x89)
export const isZero32 = (value: Code): Code => [...value, 0x45]
export const isZero64 = (value: Code): Code => [...value, 0x50]
export const trailingZeros32 = (value: Code): Code => [...value, 0x68]
export const onesIn32 = (value: Code): Code => [...value, 0x69]
export const trailingZeros64 = (value: Code): Code => [...value, 0x7a]
export const widen = (value: Code): Code => [...value, 0xad]
export const narrow = (value: Code): Code => [...value, 0xa7]
export const select = (then: Code, otherwise: Code, condition: Code): Code => [
  ...then,
  ...otherwise,
  ...condition,
  0x1b,
]

export const equalLanes = vectorOperator(0x37)
export const unequalLanes = vectorOperator(0x38)
export const atLeastLanes = vectorOperator(0x3f)
export const andLanes = vectorOperator(0x4e)
/** The bits of `then` where `where` has ones, else those of `otherwise`. */
export const chooseLanes = (then: Code, otherwise: Code, where: Code): Code => [
  ...then,
  ...otherwise,
  ...where,
  0xfd,
  0x52,
]
export const orLanes = vectorOperator(0x50)
export const andNotLanes = vectorOperator(0x4f)
export const subtractLanes = vectorOperator(0xb1)
export const allLanes = (value: Code): Code => [...value, 0xfd, 0x11]
export const anyLane = (value: Code): Code => [...value, 0xfd, 0x53]
/** A bit for each lane: its sign. */
export const laneBits = (value: Code): Code => [...value, 0xfd, ...unsigned(0xa4)]
/** Four of the eight lanes of two vectors. */
export const pickLanes = (left: Code, right: Code, lanes: readonly number[]): Code => [
  ...left,
  ...right,
  0xfd,
  0x0d,
  ...lanes.flatMap((lane) => [4 * lane, 4 * lane + 1, 4 * lane + 2, 4 * lane + 3]),
]

/** A place in memory: the address is in bytes and needs no alignment, the memory is the first when not given. */
export interface Place {
  readonly address: Code
  readonly offset?: number
  readonly memory?: number
}

const placed = ({ offset = 0, memory = 0 }: Place): Code =>
  memory === 0 ? [0, ...unsigned(offset)] : [0x40, ...unsigned(memory), ...unsigned(offset)]
const loader =
  (...opcode: readonly number[]) =>
  (place: Place): Code => [...place.address, ...opcode, ...placed(place)]
const storer =
  (...opcode: readonly number[]) =>
  (place: Place, value: Code): Code => [...place.address, ...value, ...opcode, ...placed(place)]

export const load32 = loader(0x28)
export const load64 = loader(0x29)
export const load8As64 = loader(0x31)
export const load32As64 = loader(0x35)
export const loadLanes = loader(0xfd, 0x00)
export const store32 = storer(0x36)
export const store64 = storer(0x37)
export const storeLanes = storer(0xfd, 0x0b)
/** Stores `next` if the place still has `expected`, as one step for all threads; gives what it had. Aligned. */
export const exchange32 = ({ address, offset = 0 }: Place, expected: Code, next: Code): Code => [
  ...address,
  ...expected,
  ...next,
  ...[0xfe, 0x48, 2],
  ...unsigned(offset),
]
/** Stores a value that no thread sees before what was stored earlier. Aligned. */
export const publish32 = ({ address, offset = 0 }: Place, value: Code): Code => [
  ...address,
  ...value,
  ...[0xfe, 0x17, 2],
  ...unsigned(offset),
]
/** Loads what is no older than what this thread exchanged before. Aligned. */
export const acquire32 = ({ address, offset = 0 }: Place): Code => [...address, ...[0xfe, 0x10, 2], ...unsigned(offset)]
/** Sets bits, as one step for all threads. Aligned. */
export const setBits32 = ({ address, offset = 0 }: Place, bits: Code): Code => [
  ...address,
  ...bits,
  ...[0xfe, 0x33, 2],
  ...unsigned(offset),
  0x1a,
]
export const drop = (value: Code): Code => [...value, 0x1a]
/** What is loaded after it is no older than what was stored before it. */
export const fence: Code = [0xfe, 0x03, 0]
export const call = (index: number, ...operands: readonly Code[]): Code => [
  ...operands.flat(),
  0x10,
  ...unsigned(index),
]

export const when = (condition: Code, then: Code, otherwise: Code = []): Code => [
  ...condition,
  0x04,
  blockWithoutResult,
  ...then,
  ...(otherwise.length > 0 ? [0x05, ...otherwise] : []),
  0x0b,
]
/** One of two 32-bit numbers, of which only that one is computed. */
export const whenElse = (condition: Code, then: Code, otherwise: Code): Code => [
  ...condition,
  0x04,
  i32,
  ...then,
  0x05,
  ...otherwise,
  0x0b,
]
/** Repeats `body` as long as `condition` holds after it: at least once. */
export const repeatWhile = (body: Code, condition: Code): Code => [
  0x03,
  blockWithoutResult,
  ...body,
  ...condition,
  0x0d,
  0,
  0x0b,
]
/** Repeats `body` as long as `condition` holds before it. */
export const loopWhile = (condition: Code, body: Code): Code => when(condition, repeatWhile(body, condition))

function list(items: readonly Code[]): number[] {
  return [...unsigned(items.length), ...items.flat()]
}

function section(id: number, content: Code): number[] {
  return [id, ...unsigned(content.length), ...content]
}

function name(text: string): number[] {
  return list([...Buffer.from(text)].map((byte) => [byte]))
}

function functionBody({ locals, body }: FunctionCode): number[] {
  const code = [...list(locals.map((type) => [1, type])), ...body, 0x0b]
  return [...unsigned(code.length), ...code]
}

export interface MemoryCode {
  /** Of 64 KiB. */
  readonly pages: number
  /** The name under which it is exported; undefined for the one that the host gives as `host.memory`, shared. */
  readonly exportName: string | undefined
}

const limits = ({ pages, exportName }: MemoryCode): Code =>
  exportName === undefined ? [3, ...unsigned(pages), ...unsigned(pages)] : [0, ...unsigned(pages)]

/** A module with these memories, a shared one first, and the functions in order. */
export function moduleBytes(functions: readonly FunctionCode[], memories: readonly MemoryCode[]): Uint8Array {
  const types = functions.map(({ parameters, results }) => [
    0x60,
    ...list(parameters.map((type) => [type])),
    ...list(results.map((type) => [type])),
  ])
  const shared = memories.filter(({ exportName }) => exportName === undefined)
  const own = memories.filter(({ exportName }) => exportName !== undefined)
  const exported = [
    ...functions.map(({ exportName }, index) => ({ exportName, kind: 0, index })),
    ...memories.map(({ exportName }, index) => ({ exportName, kind: 2, index })),
  ].flatMap(({ exportName, kind, index }) =>
    exportName === undefined ? [] : [[...name(exportName), kind, ...unsigned(index)]],
  )
  return new Uint8Array([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, list(types)),
    ...section(2, list(shared.map((memory) => [...name('host'), ...name('memory'), 2, ...limits(memory)]))),
    ...section(3, list(functions.map((_, index) => unsigned(index)))),
    ...section(5, list(own.map(limits))),
    ...section(7, list(exported)),
    ...section(10, list(functions.map(functionBody))),
  ])
}
