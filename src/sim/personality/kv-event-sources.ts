import type { KvEventSource } from '#sim/kv-events/kv-events.ts'

/** vLLM's default for the batches that wait for its publishing thread; the simulator has no such queue. */
const MAX_QUEUE_SIZE = 100_000

/**
 * The body of `GET /kv_event_sources` of vLLM 0.32: the publisher's `KVEventsConfig` for each data-parallel rank; empty
 * without events (vllm/entrypoints/serve/instrumentator/basic.py).
 */
export function kvEventSourcesBody(sources: readonly KvEventSource[]): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    sources.map(({ rank, endpoint, replayEndpoint, bufferSteps, hwm, topic }) => [
      String(rank),
      {
        enable_kv_cache_events: true,
        publisher: 'zmq',
        endpoint,
        replay_endpoint: replayEndpoint,
        buffer_steps: bufferSteps,
        hwm,
        max_queue_size: MAX_QUEUE_SIZE,
        topic,
      },
    ]),
  )
}
