import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'
import type {
  Candidates,
  ExactPorts,
  Facts,
  Placement,
  PluginPorts,
  Producer,
  PromptQuestion,
  ScheduleRequest,
} from '#contracts/schedule.ts'
import { type BlockChain, PrefixIndex, type PrefixMatch, prefixIndexSlots } from '#struct/prefix-index.ts'
import { numberOf, PromptIdentity } from '#struct/prompt-identity.ts'
import { chainUnitTokens, TokenChain } from '#struct/token-chain.ts'
import { changesPrompt } from './changes-prompt.ts'
import { PrefixProducer } from './prefix.ts'

/** Prompts that were asked for; the engine is not asked again while they are among these. */
const keptQuestions = 4096

/** Longest body whose prompt is asked for. */
const maxBodyBytes = 4 * 1024 * 1024

type Known = NonNullable<ReturnType<ExactPorts['prompts']['find']>>

/**
 * Tells how much of a prompt each endpoint has in its KV cache by what the engines themselves say (model-servers.md 2), for
 * endpoints whose events are followed and prompts whose tokens are known; by what was sent there (producer/prefix.ts) for all
 * others.
 *
 * An engine reuses whole blocks only, and never all of a prompt: the last token is always computed. What requests in
 * flight use is there as well, before the engine says so.
 */
class PrecisePrefixProducer implements Producer {
  readonly #facts: Facts
  readonly #approximate: PrefixProducer
  readonly #exact: ExactPorts | undefined
  readonly #index: PrefixIndex | undefined
  readonly #identity = new PromptIdentity()
  readonly #salt = new TokenChain()
  readonly #asked = new Set<number>()
  #starts = new Float64Array(64)
  readonly #chain: BlockChain = { hashes: new Int32Array(256), blocks: 0 }
  readonly #subset = { slots: new Int32Array(prefixIndexSlots), count: 0 }
  readonly #match: PrefixMatch = {
    matched: new Int32Array(prefixIndexSlots),
    inUse: new Int32Array(prefixIndexSlots),
  }
  /** What to ask when the request that was looked at last is placed. */
  #question: Omit<PromptQuestion, 'slot' | 'body'> | undefined = undefined

  constructor(ports: PluginPorts) {
    this.#facts = ports.facts
    this.#approximate = new PrefixProducer(ports)
    this.#exact = ports.exact
    this.#index = ports.exact === undefined ? undefined : new PrefixIndex(ports.exact.memory)
  }

  produce(request: ScheduleRequest, candidates: Candidates): void {
    this.#approximate.produce(request, candidates)
    this.#question = undefined
    const exact = this.#exact
    if (exact === undefined || request.promptBytes === 0 || !isAnyTold(exact, candidates)) return
    const known = this.#knownOf(request, exact)
    if (known === undefined) return
    if (known.tokens !== undefined) this.#setPromptTokens(known.tokens, candidates)
    for (let i = 0; i < candidates.count; i++) {
      const units = Math.abs(exact.units[candidates.slots[i]!]!)
      if (units > 0 && !isSeen(exact, candidates, i, units)) this.#tell(known, units, candidates)
    }
  }

  placed(request: ScheduleRequest, slot: number): Placement | undefined {
    const question = this.#question
    const exact = this.#exact
    if (question !== undefined && exact !== undefined && exact.units[slot] !== 0) {
      if (this.#asked.size >= keptQuestions) this.#asked.clear()
      this.#asked.add(question.identity)
      exact.ask({ ...question, slot, body: Buffer.concat(request.body.slices) })
    }
    this.#question = undefined
    return this.#approximate.placed(request, slot)
  }

  /** What is known of the prompt's tokens; notes the question where that is not all. */
  #knownOf(request: ScheduleRequest, { prompts }: ExactPorts): Known | undefined {
    const { body, promptSpans, promptBytes, model, adapter, cacheSalt } = request
    if (changesPrompt(request)) return undefined
    const { hashes, blocks } = this.#approximate.chain
    this.#salt.start(model, cacheSalt ?? '')
    const { low, high } = this.#salt
    if (this.#starts.length < blocks) this.#starts = new Float64Array(2 * blocks)
    const starts = this.#starts
    for (let i = 0; i < blocks; i++) starts[i] = numberOf(hashes[2 * i]! ^ low, hashes[2 * i + 1]! ^ high)
    const last = 2 * Math.max(0, blocks - 1)
    const parts = [blocks === 0 ? 0 : hashes[last]!, hashes[last + 1]!, promptBytes, promptSpans.length, low, high]
    if (blocks === 0) parts[1] = 0
    const identity = this.#identity.of(body.slices, promptSpans, parts)
    const known = prompts.find(identity, starts, blocks)
    if (known?.tokens === undefined && body.bytes <= maxBodyBytes && !this.#asked.has(identity)) {
      this.#question = {
        model,
        adapter: adapter < 0 ? '' : model,
        cacheSalt,
        identity,
        starts: starts.slice(0, blocks),
        promptBytes,
      }
    }
    return known
  }

  #setPromptTokens(tokens: number, { slots, count }: Candidates): void {
    const facts = this.#facts
    facts.promptTokens = tokens
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!
      facts.cachedTokens[slot] = Math.min(tokens, facts.cachedTokens[slot]!)
      facts.inUseTokens[slot] = Math.min(tokens, facts.inUseTokens[slot]!)
    }
  }

  /** Writes the facts of those candidates that have a key at every so many units. */
  #tell(known: Known, units: number, candidates: Candidates): void {
    const exact = this.#exact
    const index = this.#index
    if (exact === undefined || index === undefined) return
    this.#collect(exact, units, candidates)
    const chain = this.#chainOf(known, units)
    index.match(chain, this.#subset, this.#match)
    const blockTokens = units * chainUnitTokens
    const most = known.tokens === undefined ? Number.POSITIVE_INFINITY : wholeBlocks(known.tokens - 1, blockTokens)
    const facts = this.#facts
    const { slots, count } = this.#subset
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!
      const matched = this.#match.matched[slot]!
      const told = Math.min(matched * blockTokens, most, facts.promptTokens)
      const isAll = exact.units[slot]! > 0 && (known.tokens !== undefined || matched < chain.blocks)
      // Where not everything is known, what was sent there may tell of more.
      const other = isAll ? facts.inUseTokens[slot]! : facts.cachedTokens[slot]!
      facts.cachedTokens[slot] = Math.max(told, other)
      if (isAll && matched < chain.blocks) facts.missHolders[slot] = index.holders(matched)
    }
  }

  #collect({ units: told }: ExactPorts, units: number, { slots, count }: Candidates): void {
    const subset = this.#subset
    subset.count = 0
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!
      if (Math.abs(told[slot]!) === units) subset.slots[subset.count++] = slot
    }
  }

  #chainOf({ keys, units: keyCount }: Known, units: number): BlockChain {
    const blocks = Math.floor(keyCount / units)
    const chain = this.#chain
    if (chain.hashes.length < 2 * blocks) chain.hashes = new Int32Array(4 * blocks)
    chain.blocks = blocks
    for (let i = 0; i < blocks; i++) {
      const at = 2 * ((i + 1) * units - 1)
      chain.hashes[2 * i] = keys[at]!
      chain.hashes[2 * i + 1] = keys[at + 1]!
    }
    return chain
  }
}

function isAnyTold({ units }: ExactPorts, { slots, count }: Candidates): boolean {
  for (let i = 0; i < count; i++) if (units[slots[i]!] !== 0) return true
  return false
}

/** Whether a candidate before this one has as many units between its keys. */
function isSeen({ units: told }: ExactPorts, { slots }: Candidates, before: number, units: number): boolean {
  for (let i = 0; i < before; i++) if (Math.abs(told[slots[i]!]!) === units) return true
  return false
}

function wholeBlocks(tokens: number, blockTokens: number): number {
  return Math.floor(tokens / blockTokens) * blockTokens
}

/** Tells how much of the prompt each endpoint has cached, by what its engine says. */
export const precisePrefix = definePlugin({
  point: 'producer',
  type: 'precise-prefix',
  stability: 'alpha',
  summary:
    'Tells how much of the prompt each endpoint has in its KV cache, by the KV events of engines with `kvEvents`, and by the prompts that were sent there where no events tell.',
  reads: ['blockSize', 'blockCount'],
  writes: ['cachedTokens', 'inUseTokens', 'missHolders', 'missUses', 'missHash'],
  needsKvEvents: true,
  parameters: z.strictObject({}),
  create: (_parameters, ports) => new PrecisePrefixProducer(ports),
})
