/** Bytes shared by threads. Goes to a worker as it is; every thread may keep its own views of `buffer`. */
export interface SharedMemory {
  readonly buffer: SharedArrayBuffer
}

interface MemoryLimits {
  readonly initial: number
  readonly maximum: number
  readonly shared: true
}

/** The part of the WebAssembly interface used here; the type definitions of Node leave it out. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object, imports?: object) => { readonly exports: unknown }
  readonly Memory: new (limits: MemoryLimits) => SharedMemory
}

/** Bytes of a page: memory comes in pages. */
export const pageBytes = 64 * 1024

/** Zeros, `pages` pages of them. */
export function newSharedMemory(pages: number): SharedMemory {
  return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true })
}

/** What a module exports; `memory` is the one it imports as `host.memory`. */
export function instantiate(bytes: Uint8Array, memory?: SharedMemory): unknown {
  const module = new WebAssembly.Module(bytes)
  return new WebAssembly.Instance(module, memory === undefined ? undefined : { host: { memory } }).exports
}
