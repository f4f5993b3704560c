import { noUsage, type Usage } from '#core/usage.ts'
import { type Dialect, isJsonRecord } from '#dialect/dialect.ts'
import { ObjectScanner } from '#wire/json/object-scanner.ts'
import type { ReplyFilter, ReplySink, ReplyWork } from './reply-filter.ts'

/** So much is held until the model name is found; beyond, the reply is passed on while the search goes on. */
const maxHeldBytes = 64 * 1024
/** Of what is passed on during the search so much stays back: a name may be split. */
const heldBackBytes = 2048
/** Usage stands near the end of every engine's reply: so much of the end is kept to read it from. */
const tailBytes = 8 * 1024

const quote = 0x22
const usageKeys = ['"usage"', '"meta_info"'] as const

/** How many mentions of a usage key are tried, from the last on. */
const maxTries = 8

/** A JSON reply: passed on as it comes; with a renamed model its beginning is held until the name has been put back. */
export class JsonReply implements ReplyFilter {
  usage: Usage = noUsage
  readonly #dialect: Dialect
  readonly #rename: ModelRename | undefined
  #tail: Buffer | undefined = undefined

  constructor(dialect: Dialect, work: ReplyWork) {
    this.#dialect = dialect
    this.#rename = work.clientModel === undefined ? undefined : new ModelRename(work.clientModel)
  }

  lengthChange(): number | undefined {
    return this.#rename === undefined ? 0 : this.#rename.lengthChange
  }

  push(data: Buffer, start: number, end: number, sink: ReplySink): void {
    this.#keepTail(data, start, end)
    if (this.#rename === undefined) sink.write(data, start, end)
    else this.#rename.push(data, start, end, sink)
  }

  finish(sink: ReplySink): void {
    this.#rename?.finish(sink)
    if (this.#tail !== undefined) this.#readUsage(this.#tail)
    this.#tail = undefined
  }

  #keepTail(data: Buffer, start: number, end: number): void {
    const piece = data.subarray(Math.max(start, end - tailBytes), end)
    const tail = this.#tail === undefined ? Buffer.from(piece) : Buffer.concat([this.#tail, piece])
    this.#tail = tail.length > tailBytes ? tail.subarray(tail.length - tailBytes) : tail
  }

  #readUsage(tail: Buffer): void {
    for (const key of usageKeys) {
      let at = tail.lastIndexOf(key)
      for (let tries = 0; at >= 0 && tries < maxTries; tries++) {
        const usage = this.#usageAt(tail, at)
        if (usage !== undefined) {
          this.usage = usage
          return
        }
        at = at === 0 ? -1 : tail.lastIndexOf(key, at - 1)
      }
    }
  }

  /**
   * From a top-level usage key on, the text is the rest of the reply's object, so it parses with a brace put before it.
   * From a deeper one on it has a bracket too many. (Inside strings quotes are escaped: the key with its quotes cannot
   * be found there.)
   */
  #usageAt(tail: Buffer, at: number): Usage | undefined {
    try {
      const parsed: unknown = JSON.parse(`{${tail.toString('utf8', at)}`)
      return isJsonRecord(parsed) ? this.#dialect.usageOf(parsed) : undefined
    } catch {
      return undefined
    }
  }
}

/** Puts the client's model name back into a reply: the first top-level `model` that is a string. */
class ModelRename {
  /** Undefined when bytes had to leave before the name was found. */
  lengthChange: number | undefined = 0
  readonly #text: Buffer
  readonly #scanner = new ObjectScanner(new Set(['model']))
  /** What has not been passed on yet: ours, not the caller's memory. */
  #held: Buffer | undefined = undefined
  /** Offset of `#held` in the reply. */
  #heldFrom = 0
  #seen = 0
  #done = false

  constructor(clientModel: string) {
    this.#text = Buffer.from(JSON.stringify(clientModel))
  }

  push(data: Buffer, start: number, end: number, sink: ReplySink): void {
    if (this.#done) return sink.write(data, start, end)
    this.#scanner.push(data, start, end)
    const piece = data.subarray(start, end)
    const held = this.#held === undefined ? Buffer.from(piece) : Buffer.concat([this.#held, piece])
    this.#held = held
    if (this.#scanner.error !== undefined || this.#scanner.complete || this.#hasName(held)) this.#release(held, sink)
    else if (held.length > (this.#heldFrom === 0 ? maxHeldBytes : 2 * heldBackBytes)) this.#passOn(held, sink)
  }

  finish(sink: ReplySink): void {
    if (this.#held !== undefined) this.#release(this.#held, sink)
  }

  /** Whether a name has been found in what is held. Members that are no names are skipped. */
  #hasName(held: Buffer): boolean {
    const { members } = this.#scanner
    while (this.#seen < members.length && !this.#isName(held, this.#seen)) this.#seen++
    return this.#seen < members.length
  }

  #isName(held: Buffer, index: number): boolean {
    const member = this.#scanner.members[index]
    return member !== undefined && member.start >= this.#heldFrom && held[member.start - this.#heldFrom] === quote
  }

  /** Gives up holding, not looking: from now on the length of the reply is open. */
  #passOn(held: Buffer, sink: ReplySink): void {
    this.lengthChange = undefined
    const at = held.length - heldBackBytes
    sink.write(held, 0, at)
    this.#held = held.subarray(at)
    this.#heldFrom += at
  }

  #release(held: Buffer, sink: ReplySink): void {
    this.#done = true
    this.#held = undefined
    const model = this.#hasName(held) ? this.#scanner.members[this.#seen] : undefined
    if (model === undefined) return sink.write(held, 0, held.length)
    const start = model.start - this.#heldFrom
    const end = model.end - this.#heldFrom
    if (this.lengthChange !== undefined) this.lengthChange = this.#text.length - (end - start)
    sink.write(held, 0, start)
    sink.write(this.#text, 0, this.#text.length)
    sink.write(held, end, held.length)
  }
}
