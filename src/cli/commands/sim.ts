import { Command, InvalidArgumentError, Option } from 'commander'
import type { Simulators, startSimulators } from '#apps/simulators.ts'

/** What one simulated server is made from. */
type Plan = Parameters<typeof startSimulators>[0][number]

type Engine = NonNullable<Plan['engine']>
type Preset = NonNullable<Plan['preset']>
type Scheduling = NonNullable<Plan['scheduling']>
type Role = NonNullable<Plan['role']>

const ENGINES: readonly Engine[] = ['vllm', 'sglang', 'tgi', 'triton', 'trtllm', 'llamacpp']
const PRESETS = Object.keys({
  'llama-8b-h100': true,
  'qwen3-32b-2xh100': true,
  'llama-70b-4xh100': true,
  'llama-70b-8xh100': true,
  'llama-8b-a100': true,
  'llama-8b-a100-40gb': true,
  'llama-70b-4xa100': true,
  'llama-8b-l4': true,
} satisfies Record<Preset, true>)
const SCHEDULINGS: readonly Scheduling[] = ['fcfs', 'priority']
const ROLES: readonly Role[] = ['both', 'prefill', 'decode']

interface SimFlags {
  readonly engine: Engine
  readonly model?: readonly string[]
  readonly lora?: readonly string[]
  readonly preset?: Preset
  readonly ttft?: number
  readonly tpot?: number
  readonly maxNumSeqs?: number
  readonly maxNumBatchedTokens?: number
  readonly schedulingPolicy: Scheduling
  readonly maxLoras: number
  readonly maxQueuedReqs?: number
  readonly maxModelLen?: number
  readonly kvBlocks?: number
  readonly blockSize?: number
  readonly dataParallelSize: number
  readonly role: Role
  readonly timeFactor: number
  readonly streamInterval: number
  readonly host: string
  readonly port: number
  readonly count: number
  readonly seed: number
  readonly apiKey?: string
  readonly requestIdHeaders?: boolean
  readonly oldMetricNames?: boolean
  readonly kvEventsPort?: number
  readonly kvEventsReplayPort?: number
}

const EXAMPLES = `
Examples:
  A vLLM server on port 8000 that answers with 100 tokens a second:
    $ infer-gateway sim --model llama-3.1-8b

  Three of them with two adapters each, on ports 8000 to 8002:
    $ infer-gateway sim --model llama-3.1-8b --lora sql,chat --count 3

  A server as slow and as large as Qwen3-32B on two H100, four times faster than real:
    $ infer-gateway sim --preset qwen3-32b-2xh100 --time-factor 4

  A small, slow SGLang server, to see queues grow:
    $ infer-gateway sim --engine sglang --model qwen3-8b --max-num-seqs 4 --kv-blocks 256 --ttft 500 --tpot 50

  Two of them that publish KV events, on ports 5557 and 5558, with replays on 5657 and 5658:
    $ infer-gateway sim --count 2 --kv-events-port 5557 --kv-events-replay-port 5657

  Make its next two answers fail, and see what arrived:
    $ curl -X POST localhost:8000/sim/faults -d '{"kind":"status","status":503,"times":2}'
    $ curl localhost:8000/sim/last-requests
`

/** The command `infer-gateway sim`: simulated model servers until Ctrl-C. */
export function simCommand(): Command {
  const command = new Command('sim')
    .description(
      'Run simulated model servers: real protocols, streams, queues and metrics pages, without a model or an accelerator.',
    )
    .addOption(new Option('--engine <name>', 'engine to look like').choices(ENGINES).default('vllm'))
    .option(
      '--model <name>',
      'served model name (default: sim-model); further ones are aliases (repeat or separate by commas)',
      addNames,
    )
    .option('--lora <name>', 'LoRA adapter loaded from the start (repeat or separate by commas)', addNames)
  return withEngineOptions(command)
    .option('--port <port>', 'port of the first server; 0 lets the system choose', port, 8000)
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--count <n>', 'servers to run, on consecutive ports', atLeast(1), 1)
    .option('--seed <n>', 'same seed, same answers', atLeast(0), 1)
    .option('--api-key <key>', 'bearer token that calls must bring')
    .option('--request-id-headers', 'send x-request-id back in responses')
    .option('--old-metric-names', 'give a vLLM the metric names of versions up to 0.8')
    .option(
      '--kv-events-port <port>',
      'publish KV events over ZeroMQ, the first rank of the first server here, further ones on the next ports',
      port,
    )
    .option('--kv-events-replay-port <port>', 'the same for replays', port)
    .addHelpText('after', EXAMPLES)
    .action(async (flags: SimFlags, self: Command) => {
      const { sims, close } = await startOrExit(flags, self)
      for (const sim of sims) process.stdout.write(`${describeSim(sim)}\n`)
      await interrupted()
      await close()
    })
}

/** Adds what the engine is made of. */
function withEngineOptions(command: Command): Command {
  return command
    .option('--max-loras <n>', 'different adapters that may run at the same time', atLeast(1), 4)
    .addOption(
      new Option('--preset <name>', 'model and accelerator whose step times and KV cache it has')
        .choices(PRESETS)
        .conflicts(['ttft', 'tpot']),
    )
    .option('--ttft <ms>', 'time from admission to the first token (default: 50; not with a preset)', milliseconds)
    .option('--tpot <ms>', 'time between tokens of one request (default: 10; not with a preset)', milliseconds)
    .option(
      '--max-num-seqs <n>',
      'requests that run at the same time; the rest wait (default: 256, or as the preset)',
      atLeast(1),
    )
    .option(
      '--max-num-batched-tokens <n>',
      'tokens one step computes; longer prompts in chunks (default: any, or as the preset)',
      atLeast(1),
    )
    .addOption(
      new Option('--scheduling-policy <name>', 'who runs first: who came first, or by "priority" in the body')
        .choices(SCHEDULINGS)
        .default('fcfs'),
    )
    .option('--max-queued-reqs <n>', 'running plus waiting requests above which new ones are refused', atLeast(1))
    .option('--kv-blocks <n>', 'blocks of the KV cache (default: 27881, or as the preset)', atLeast(1))
    .option('--block-size <tokens>', 'tokens in a KV block (default: 16)', atLeast(1))
    .option(
      '--data-parallel-size <n>',
      'ranks behind each address, each with its own queue and KV cache',
      atLeast(1),
      1,
    )
    .addOption(
      new Option('--role <name>', 'phases it does: "prefill" answers with one token').choices(ROLES).default('both'),
    )
    .option('--time-factor <x>', 'how many times faster than real its time goes', factor, 1)
    .option('--stream-interval <n>', 'tokens in one event of a stream', atLeast(1), 1)
    .option(
      '--max-model-len <tokens>',
      'prompt and output together (default: 131072, or what the KV cache holds)',
      atLeast(1),
    )
}

/** One line about a running simulated server: where it is, what it looks like, what it serves. */
export function describeSim(sim: Simulators['sims'][number]): string {
  const adapters = sim.adapters()
  const loras = adapters.length > 0 ? `  adapters ${adapters.join(', ')}` : ''
  const events = sim.kvEventSources().map(({ endpoint }) => endpoint)
  const kvEvents = events.length > 0 ? `  KV events ${events.join(', ')}` : ''
  return `${sim.url}  ${sim.engine}  model ${sim.models.join(', ')}${loras}${kvEvents}`
}

/** Starts the servers; what cannot be (a port in use, values that do not go together) ends the command with one line. */
async function startOrExit(flags: SimFlags, command: Command): Promise<Simulators> {
  if (flags.kvEventsReplayPort !== undefined && flags.kvEventsPort === undefined) {
    return command.error('error: --kv-events-replay-port needs --kv-events-port')
  }
  const { startSimulators: start } = await import('#apps/simulators.ts')
  try {
    return await start(Array.from({ length: flags.count }, (_, i) => planOf(flags, i)))
  } catch (error) {
    return command.error(`error: cannot start: ${error instanceof Error ? error.message : String(error)}`)
  }
}

function planOf(flags: SimFlags, index: number): Plan {
  const kvEvents = kvEventsOf(flags, index)
  return {
    ...(kvEvents === undefined ? {} : { kvEvents }),
    engine: flags.engine,
    host: flags.host,
    port: portOf(flags.port, index),
    models: flags.model ?? ['sim-model'],
    adapters: flags.lora ?? [],
    maxLoras: flags.maxLoras,
    scheduling: flags.schedulingPolicy,
    ranks: flags.dataParallelSize,
    role: flags.role,
    timeFactor: flags.timeFactor,
    streamInterval: flags.streamInterval,
    seed: flags.seed,
    echoRequestId: flags.requestIdHeaders === true,
    vllmMetrics: flags.oldMetricNames === true ? 'old' : 'current',
    ...given({
      preset: flags.preset,
      ttftMs: flags.ttft,
      tpotMs: flags.tpot,
      maxNumSeqs: flags.maxNumSeqs,
      maxBatchedTokens: flags.maxNumBatchedTokens,
      maxQueuedReqs: flags.maxQueuedReqs,
      maxModelLen: flags.maxModelLen,
      kvBlocks: flags.kvBlocks,
      blockSize: flags.blockSize,
      apiKey: flags.apiKey,
    }),
  }
}

/** Every rank of every server has a port of its own, in their order. */
function kvEventsOf(flags: SimFlags, index: number): Plan['kvEvents'] {
  const { kvEventsPort, kvEventsReplayPort, dataParallelSize } = flags
  if (kvEventsPort === undefined) return undefined
  const before = index * dataParallelSize
  const replay = kvEventsReplayPort === undefined ? {} : { replayPort: portOf(kvEventsReplayPort, before) }
  return { port: portOf(kvEventsPort, before), ...replay }
}

/** So many after the first; the system chooses each of them where it chooses the first. */
function portOf(first: number, after: number): number {
  return first === 0 ? 0 : first + after
}

/** The fields that have a value. */
function given<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> }
}

/** Resolves at the first Ctrl-C or termination; a second one has its usual effect. */
function interrupted(): Promise<void> {
  return new Promise((resolve) => {
    const stop = () => {
      process.off('SIGINT', stop)
      process.off('SIGTERM', stop)
      resolve()
    }
    process.on('SIGINT', stop)
    process.on('SIGTERM', stop)
  })
}

function addNames(text: string, before: readonly string[] = []): string[] {
  return [...before, ...text.split(',').map((name) => name.trim())].filter((name) => name !== '')
}

function milliseconds(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value) || value < 0)
    throw new InvalidArgumentError('Not a time in milliseconds.')
  return value
}

function factor(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value) || value <= 0)
    throw new InvalidArgumentError('Not a number above 0.')
  return value
}

function port(text: string): number {
  const value = atLeast(0)(text)
  if (value > 65_535) throw new InvalidArgumentError('Not a port from 0 to 65535.')
  return value
}

function atLeast(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (text.trim() === '' || !Number.isInteger(value) || value < least) {
      throw new InvalidArgumentError(`Not a whole number from ${least} on.`)
    }
    return value
  }
}
