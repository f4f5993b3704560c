import { totalmem } from 'node:os'
import { getHeapStatistics } from 'node:v8'

/** Memory at one moment, bytes. */
export interface MemoryReading {
  /** Of the process, all threads together; undefined when the system does not say, as without a free descriptor. */
  readonly residentBytes: number | undefined
  /** What the process should stay below when nobody says: a share of what the container or the machine has. */
  readonly availableBytes: number
  /** Heap of this thread, garbage that is not yet collected included. */
  readonly heapUsedBytes: number
  /** What V8 lets it grow to. */
  readonly heapLimitBytes: number
}

const availableShare = 0.9

/** Reads the memory of this process and thread: about 30 us. */
export function readProcessMemory(): MemoryReading {
  const heap = getHeapStatistics()
  return {
    residentBytes: residentBytes(),
    availableBytes: availableShare * memoryOf(process.constrainedMemory(), totalmem()),
    heapUsedBytes: heap.used_heap_size,
    heapLimitBytes: heap.heap_size_limit,
  }
}

/** It is read from a file: a process that is out of descriptors cannot open it. */
function residentBytes(): number | undefined {
  try {
    return process.memoryUsage.rss()
  } catch {
    return undefined
  }
}

/** Memory of the container, or of the machine when the container has no limit: then the system says 0 or a huge number. */
export function memoryOf(constrainedBytes: number, totalBytes: number): number {
  return constrainedBytes > 0 ? Math.min(constrainedBytes, totalBytes) : totalBytes
}
