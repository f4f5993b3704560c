import { changeFunctions } from './prefix-change-code.ts'
import { claimFunctions } from './prefix-claim-code.ts'
import { type IndexLayout, ownBytes } from './prefix-code-parts.ts'
import { holdFunctions } from './prefix-hold-code.ts'
import { insertFunctions } from './prefix-insert-code.ts'
import { walkFunctions } from './prefix-walk-code.ts'
import { moduleBytes } from './wasm-code.ts'

const page = 64 * 1024

/** Changes what is usual and marks it as done; gives the number of blocks that are left. */
export type ChainChange = (blocks: number, owner: number, now: number, blockTokens: number) => number

/** What the module exports. */
export interface IndexExports {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly walk: (blocks: number, mark: number) => number
  readonly seek: (blocks: number, mark: number) => number
  readonly locate: (from: number, to: number) => void
  readonly dispatch: ChainChange
  /** Gives the number of blocks that it did. */
  readonly insert: ChainChange
  readonly confirm: ChainChange
  readonly release: ChainChange
  readonly withdraw: ChainChange
  /** The same by the cells kept. */
  readonly confirmKept: ChainChange
  readonly releaseKept: ChainChange
  readonly withdrawKept: ChainChange
}

/**
 * The module of the prefix index: it imports the memory that threads share and exports its own as `memory`, `locate`, `walk` and
 * the changes of prefix-change-code.ts.
 */
export function prefixIndexModule(layout: IndexLayout): Uint8Array {
  return moduleBytes(
    [
      ...walkFunctions(layout),
      ...claimFunctions(layout),
      ...holdFunctions(layout),
      ...changeFunctions(layout),
      ...insertFunctions(layout),
    ],
    [
      { pages: layout.sharedPages, exportName: undefined },
      { pages: Math.ceil(ownBytes(layout.maxBlocks) / page), exportName: 'memory' },
    ],
  )
}
