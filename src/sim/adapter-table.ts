/** A LoRA adapter that is loaded. */
export interface Adapter {
  readonly name: string
  readonly path: string
}

/** Most adapters one server keeps. */
const MAX_ADAPTERS = 1_000

/** The adapters loaded now, in order of loading. */
export class AdapterTable {
  readonly #byName = new Map<string, Adapter>()

  constructor(names: readonly string[]) {
    for (const name of names) this.#byName.set(name, { name, path: `/adapters/${name}` })
  }

  get isFull(): boolean {
    return this.#byName.size >= MAX_ADAPTERS
  }

  has(name: string): boolean {
    return this.#byName.has(name)
  }

  list(): readonly Adapter[] {
    return [...this.#byName.values()]
  }

  add(adapter: Adapter): void {
    this.#byName.set(adapter.name, adapter)
  }

  /** Whether it was there. */
  remove(name: string): boolean {
    return this.#byName.delete(name)
  }
}
