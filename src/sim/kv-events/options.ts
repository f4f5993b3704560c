import type { EncodingName } from './encoding.ts'

/** What the events of the KV cache are published with; everything has a default. vLLM's names are in brackets. */
export interface KvEventOptions {
  /** TCP port of rank 0 on the server's address; rank r has port + r. 0 lets the system choose for each rank. Default 5557. */
  readonly port?: number
  /** TCP port of rank 0 for replays (`replay_endpoint`); unset means no replays. */
  readonly replayPort?: number
  /** A ZeroMQ address to bind instead of the port (`endpoint`): `ipc:///run/kv` or `tcp://127.0.0.1:5557`. */
  readonly endpoint?: string
  /** The same for replays. */
  readonly replayEndpoint?: string
  /** First frame of every message; default `kv@<host>:<port>@<model>`, the address being that of the HTTP server. */
  readonly topic?: string
  /** Default: that of the engine, `vllm` for one that has no events of this kind. */
  readonly encoding?: EncodingName
  /**
   * What blocks are called: `model` (the default) takes the hashes of the engine model; `engine` the numbers that the engine
   * computes (vLLM: `sha256_cbor`), for who computes them himself; `engine-bytes` vLLM's whole digests
   * (`VLLM_KV_EVENTS_USE_INT_BLOCK_HASHES=0`).
   */
  readonly blockHashes?: 'model' | 'engine' | 'engine-bytes'
  /** `PYTHONHASHSEED` of the engine; default `vllm-none-hash`, which vLLM takes when it is not set. */
  readonly hashSeed?: string
  /** Batches kept for replays (`buffer_steps`). Default 10,000. */
  readonly bufferSteps?: number
  /** Most bytes of batches kept for replays. Engines have no such limit. Default 64 MiB. */
  readonly bufferBytes?: number
  /** Messages that wait for one slow subscriber; further ones are lost for it (`hwm`). Default 100,000. */
  readonly hwm?: number
  /** Sequence numbers that are never sent, on every rank: a replay has them. For tests of subscribers. */
  readonly lose?: readonly number[]
}

/** Options with every default filled in; the topic waits for the address. */
export interface KvEventSettings {
  readonly endpoint: string
  readonly replayEndpoint: string | undefined
  readonly topic: string | undefined
  readonly encoding: EncodingName
  readonly blockHashes: 'model' | 'engine' | 'engine-bytes'
  readonly hashSeed: string
  readonly bufferSteps: number
  readonly bufferBytes: number
  readonly hwm: number
  readonly lose: readonly number[]
}

/** What the server around the events is. */
export interface KvEventServer {
  readonly engine: string
  readonly host: string
  readonly ranks: number
}

const defaults = {
  port: 5557,
  topic: undefined,
  blockHashes: 'model',
  hashSeed: 'vllm-none-hash',
  bufferSteps: 10_000,
  bufferBytes: 64 * 1024 * 1024,
  hwm: 100_000,
  lose: [],
} as const

/** Fills in the defaults. Throws a RangeError that names the option whose value makes no sense. */
export function resolveKvEventOptions(options: KvEventOptions, server: KvEventServer): KvEventSettings {
  const { port, replayPort, ...given } = { ...defaults, ...options }
  const encoding = given.encoding ?? (server.engine === 'sglang' ? 'sglang' : 'vllm')
  const endpoint = given.endpoint ?? tcpEndpoint(server.host, port)
  const replayTcp = replayPort === undefined ? undefined : tcpEndpoint(server.host, replayPort)
  const replayEndpoint = given.replayEndpoint ?? replayTcp
  for (const address of [endpoint, replayEndpoint ?? endpoint]) requireEndpoint(address, server.ranks)
  for (const name of ['bufferSteps', 'bufferBytes', 'hwm'] as const) {
    if (!Number.isSafeInteger(given[name]) || given[name] < 1)
      throw new RangeError(`kvEvents.${name} must be at least 1`)
  }
  return { ...given, encoding, endpoint, replayEndpoint }
}

/** The address of one rank: TCP ports count up from that of rank 0, except 0, which the system replaces. */
export function rankEndpoint(endpoint: string, rank: number): string {
  if (rank === 0 || !endpoint.startsWith('tcp://')) return endpoint
  const colon = endpoint.lastIndexOf(':')
  const port = Number(endpoint.slice(colon + 1))
  return port === 0 ? endpoint : `${endpoint.slice(0, colon)}:${port + rank}`
}

function tcpEndpoint(host: string, port: number): string {
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new RangeError('ports of kvEvents must be from 0 to 65535')
  return `tcp://${host.includes(':') ? `[${host}]` : host}:${port}`
}

function requireEndpoint(endpoint: string, ranks: number): void {
  const isTcp = /^tcp:\/\/\S+:\d+$/.test(endpoint)
  if (!isTcp && !/^ipc:\/\/\S+$/.test(endpoint)) {
    throw new RangeError(`kvEvents endpoint '${endpoint}' is neither tcp://HOST:PORT nor ipc://PATH`)
  }
  if (!isTcp && ranks > 1) throw new RangeError('kvEvents over ipc have room for one rank only')
}
