/**
 * The code of XXH64 (seed 0) and of the block chain made of it, as WebAssembly: 64-bit multiplication is what the
 * hash consists of, and plain JavaScript has none (bench/micro/prefix-index.ts compares). The algorithm is that of the xxHash specification 0.1.1,
 * section "XXH64 Algorithm Description".
 */
import {
  add32,
  add64,
  type Code,
  call,
  type FunctionCode,
  i32,
  i64,
  less32,
  lessOrEqual32,
  load8As64,
  load32As64,
  load64,
  local,
  loopWhile,
  moduleBytes,
  multiply64,
  number32,
  number64,
  type Place,
  repeatWhile,
  rotateLeft64,
  setLocal,
  shiftLeft32,
  shiftRight64,
  store64,
  when,
  widen,
  xor64,
} from './wasm-code.ts'

/** Where things lie in the memory, in bytes. */
export const stateAt = 0
/** Chain hashes of the last call of `chain`, 8 bytes each. */
export const hashesAt = 1024
export const inputAt = 64 * 1024
export const inputBytes = 64 * 1024
const pages = 2
const stateWord: Place = { address: number32(stateAt) }

const prime1 = number64(0x9e3779b185ebca87n)
const prime2 = number64(0xc2b2ae3d27d4eb4fn)
const prime3 = number64(0x165667b19e3779f9n)
const prime4 = number64(0x85ebca77c2b2ae63n)
const prime5 = number64(0x27d4eb2f165667c5n)

const rotate = (value: Code, bits: bigint): Code => rotateLeft64(value, number64(bits))
const round = (sum: Code, input: Code): Code => multiply64(rotate(add64(sum, multiply64(input, prime2)), 31n), prime1)
const mixWord = (hash: Code, input: Code): Code =>
  add64(multiply64(rotate(xor64(hash, round(number64(0n), input)), 27n), prime1), prime4)
const merge = (hash: Code, sum: Code): Code => add64(multiply64(xor64(hash, round(number64(0n), sum)), prime1), prime4)

/** Spreads every input bit over the whole hash, which lies in the local `index`. */
function avalanche(index: number): Code {
  const hash = local(index)
  const foldIn = (bits: bigint): Code => xor64(hash, shiftRight64(hash, number64(bits)))
  return [
    ...setLocal(index, multiply64(foldIn(33n), prime2)),
    ...setLocal(index, multiply64(foldIn(29n), prime3)),
    ...foldIn(32n),
  ]
}

/** (address, bytes) -> hash. */
function digestBody(): Code {
  const [at, bytes, end, hash] = [0, 1, 2, 3] as const
  const sums = [4, 5, 6, 7] as const
  const address = local(at)
  const advance = (by: number): Code => setLocal(at, add32(address, number32(by)))
  const hasLeft = (count: number): Code => lessOrEqual32(add32(address, number32(count)), local(end))
  const starts = [add64(prime1, prime2), prime2, number64(0n), number64(-0x9e3779b185ebca87n)] as const
  const [a, b, c, d] = sums
  const stripes = [
    ...sums.flatMap((sum, i) => setLocal(sum, starts[i] as Code)),
    ...repeatWhile(
      [
        ...sums.flatMap((sum, i) => setLocal(sum, round(local(sum), load64({ address, offset: 8 * i })))),
        ...advance(32),
      ],
      hasLeft(32),
    ),
    ...setLocal(
      hash,
      add64(add64(rotate(local(a), 1n), rotate(local(b), 7n)), add64(rotate(local(c), 12n), rotate(local(d), 18n))),
    ),
    ...sums.flatMap((sum) => setLocal(hash, merge(local(hash), local(sum)))),
  ]
  const halfWord = multiply64(load32As64({ address }), prime1)
  const byte = multiply64(load8As64({ address }), prime5)
  return [
    ...setLocal(end, add32(address, local(bytes))),
    ...when(hasLeft(32), stripes, setLocal(hash, prime5)),
    ...setLocal(hash, add64(local(hash), widen(local(bytes)))),
    ...loopWhile(hasLeft(8), [...setLocal(hash, mixWord(local(hash), load64({ address }))), ...advance(8)]),
    ...when(hasLeft(4), [
      ...setLocal(hash, add64(multiply64(rotate(xor64(local(hash), halfWord), 23n), prime2), prime3)),
      ...advance(4),
    ]),
    ...loopWhile(less32(address, local(end)), [
      ...setLocal(hash, multiply64(rotate(xor64(local(hash), byte), 11n), prime1)),
      ...advance(1),
    ]),
    ...avalanche(hash),
  ]
}

const digestIndex = 0

/** (address, blocks, bytes per block): state = XXH64(LE64(XXH64(block)) then LE64(state)) for each, all stored. */
function chainBody(): Code {
  const [at, blocks, blockBytes, out, hash, state, end] = [0, 1, 2, 3, 4, 5, 6] as const
  return [
    ...setLocal(out, number32(hashesAt)),
    ...setLocal(end, add32(number32(hashesAt), shiftLeft32(local(blocks), number32(3)))),
    ...setLocal(state, load64(stateWord)),
    ...loopWhile(less32(local(out), local(end)), [
      ...setLocal(hash, add64(prime5, number64(16n))),
      ...setLocal(hash, mixWord(local(hash), call(digestIndex, local(at), local(blockBytes)))),
      ...setLocal(hash, mixWord(local(hash), local(state))),
      ...setLocal(state, avalanche(hash)),
      ...store64({ address: local(out) }, local(state)),
      ...setLocal(at, add32(local(at), local(blockBytes))),
      ...setLocal(out, add32(local(out), number32(8))),
    ]),
    ...store64(stateWord, local(state)),
  ]
}

const functions: readonly FunctionCode[] = [
  {
    parameters: [i32, i32],
    results: [i64],
    locals: [i32, i64, i64, i64, i64, i64],
    body: digestBody(),
    exportName: undefined,
  },
  { parameters: [i32, i32, i32], results: [], locals: [i32, i64, i64, i32], body: chainBody(), exportName: 'chain' },
  {
    parameters: [i32, i32],
    results: [],
    locals: [],
    body: store64(stateWord, call(digestIndex, local(0), local(1))),
    exportName: 'digest',
  },
]

export const xxh64Module = moduleBytes(functions, [{ pages, exportName: 'memory' }])
