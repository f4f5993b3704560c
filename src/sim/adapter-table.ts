/** A LoRA adapter that is loaded. */
export interface Adapter {
  readonly name: string
  readonly path: string
  /** Counts the loads of this server, from 1: the number engines give an adapter. */
  readonly id: number
}

/** Most adapters one server keeps. */
const MAX_ADAPTERS = 1_000

/** The adapters loaded now, in order of loading. */
export class AdapterTable {
  readonly #byName = new Map<string, Adapter>()
  #lastId = 0

  constructor(names: readonly string[]) {
    for (const name of names) this.add({ name, path: `/adapters/${name}` })
  }

  get isFull(): boolean {
    return this.#byName.size >= MAX_ADAPTERS
  }

  has(name: string): boolean {
    return this.#byName.has(name)
  }

  get(name: string): Adapter | undefined {
    return this.#byName.get(name)
  }

  list(): readonly Adapter[] {
    return [...this.#byName.values()]
  }

  /** Loads an adapter, anew when its name is loaded already. */
  add({ name, path }: Pick<Adapter, 'name' | 'path'>): void {
    this.#byName.set(name, { name, path, id: ++this.#lastId })
  }

  /** Whether it was there. */
  remove(name: string): boolean {
    return this.#byName.delete(name)
  }
}
