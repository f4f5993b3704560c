/**
 * The adapters an engine has loaded and runs. At most `slots` distinct ones run at the same time; as many stay loaded, and the
 * one unused for longest makes room. Adapters are the caller's numbers; -1 is the base model, which needs no slot.
 */
export class AdapterSlots {
  readonly #slots: number
  /** Running requests by adapter. */
  readonly #running = new Map<number, number>()
  /** Loaded adapters, the least recently started first. */
  readonly #loaded: number[] = []

  constructor(slots: number) {
    this.#slots = slots
  }

  /** Adapters with a running request. */
  running(): readonly number[] {
    return [...this.#running.keys()]
  }

  /** Loaded adapters, running or not. */
  loaded(): readonly number[] {
    return this.#loaded
  }

  /** Whether a request for the adapter may run now. */
  hasRoom(adapter: number): boolean {
    return adapter < 0 || this.#running.has(adapter) || this.#running.size < this.#slots
  }

  /** One more request of the adapter runs; returns whether the adapter has to be loaded for it. */
  start(adapter: number): boolean {
    if (adapter < 0) return false
    this.#running.set(adapter, (this.#running.get(adapter) ?? 0) + 1)
    const place = this.#loaded.indexOf(adapter)
    if (place >= 0) this.#loaded.splice(place, 1)
    else if (this.#loaded.length >= this.#slots) this.#unloadOne()
    this.#loaded.push(adapter)
    return place < 0
  }

  /** One request less of the adapter runs. */
  stop(adapter: number): void {
    if (adapter < 0) return
    const left = (this.#running.get(adapter) ?? 1) - 1
    if (left > 0) this.#running.set(adapter, left)
    else this.#running.delete(adapter)
  }

  /** Unloads all; none may be running. */
  forget(): void {
    this.#loaded.length = 0
  }

  #unloadOne(): void {
    const idle = this.#loaded.findIndex((adapter) => !this.#running.has(adapter))
    if (idle >= 0) this.#loaded.splice(idle, 1)
  }
}
