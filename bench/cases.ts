/** What is measured, and the targets (times nginx in the same run; milliseconds; none for memory). */

/** What the load generator does: see bench/load/load.c. */
export interface Load {
  readonly connections: number
  readonly stream: boolean
  readonly promptBytes: number
  /** Requests a second, open loop; absent: as fast as answers come. */
  readonly rate?: number
  /** One slow stream per connection: 20 events, one each 500 ms. */
  readonly slowOnce?: boolean
  /** SSE frames of one complete answer. */
  readonly frames: number
}

interface CaseBase {
  readonly name: string
  readonly title: string
  readonly load: Load
}

/** CPU time per request. */
export interface CpuCase extends CaseBase {
  readonly kind: 'cpu'
  /** Times nginx. */
  readonly target: number
  /** Longest median of an answer that still means the pace was held; above it chunks meet and a proxy gets cheaper. */
  readonly pacedWithinMs?: number
}

/** What is added to a request at a low rate; `what` is the moment the time is taken to. */
export interface LatencyCase extends CaseBase {
  readonly kind: 'latency'
  readonly what: 'last byte' | 'first token'
  readonly targetP50Ms: number
  readonly targetP99Ms: number
}

/** Memory while streams are open. */
export interface MemoryCase extends CaseBase {
  readonly kind: 'memory'
}

export type BenchCase = CpuCase | LatencyCase | MemoryCase

/** Of the backend: events of a stream, and the pause between two of them. */
export const streamChunks = 100
export const chunkIntervalUs = 5000
/** The chunks, the finish event and [DONE]. */
const streamFrames = streamChunks + 2
const slowFrames = 22

/** Longest pause that is not called a stall: a delayed acknowledgement takes 40 ms. */
export const stallMs = 40

export const cases: readonly BenchCase[] = [
  {
    name: 'small',
    title: 'small JSON',
    kind: 'cpu',
    target: 2.0,
    load: { connections: 32, stream: false, promptBytes: 200, frames: 0 },
  },
  {
    name: 'sse',
    title: 'stream, 100 chunks, one each 5 ms',
    kind: 'cpu',
    target: 1.5,
    pacedWithinMs: 560,
    load: { connections: 256, stream: true, promptBytes: 200, frames: streamFrames },
  },
  {
    name: '20kb',
    title: '20 KB prompt',
    kind: 'cpu',
    target: 2.0,
    load: { connections: 32, stream: false, promptBytes: 20_000, frames: 0 },
  },
  {
    name: '220kb',
    title: '220 KB prompt',
    kind: 'cpu',
    target: 1.7,
    load: { connections: 32, stream: false, promptBytes: 220_000, frames: 0 },
  },
  {
    name: 'latency',
    title: 'small JSON, 50 a second',
    kind: 'latency',
    what: 'last byte',
    targetP50Ms: 0.4,
    targetP99Ms: 1,
    load: { connections: 16, stream: false, promptBytes: 200, rate: 50, frames: 0 },
  },
  {
    name: 'first-token',
    title: 'first token of streams, 50 a second',
    kind: 'latency',
    what: 'first token',
    targetP50Ms: 0.8,
    targetP99Ms: 0.8,
    // Not 50: streams that start each 20 ms would all send their chunks, one each 5 ms, in the same moment.
    load: { connections: 64, stream: true, promptBytes: 200, rate: 50.5, frames: streamFrames },
  },
  {
    name: 'idle',
    title: 'memory, 1,000 open streams',
    kind: 'memory',
    load: { connections: 1000, stream: true, promptBytes: 200, slowOnce: true, frames: slowFrames },
  },
]
