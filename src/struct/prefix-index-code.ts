import { changeFunctions } from './prefix-change-code.ts'
import { claimFunctions } from './prefix-claim-code.ts'
import { type IndexLayout, ownBytes } from './prefix-code-parts.ts'
import { holdFunctions } from './prefix-hold-code.ts'
import { insertFunctions } from './prefix-insert-code.ts'
import { walkFunctions } from './prefix-walk-code.ts'
import { moduleBytes } from './wasm-code.ts'

const page = 64 * 1024

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
