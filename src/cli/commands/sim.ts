import { Command, InvalidArgumentError, Option } from 'commander'
import type { Simulators, startSimulators } from '#apps/simulators.ts'

/** What one simulated server is made from. */
type Plan = Parameters<typeof startSimulators>[0][number]

type Engine = NonNullable<Plan['engine']>

const ENGINES: readonly Engine[] = ['vllm', 'sglang', 'tgi']

interface SimFlags {
  readonly engine: Engine
  readonly model?: readonly string[]
  readonly lora?: readonly string[]
  readonly maxLoras: number
  readonly ttft: number
  readonly tpot: number
  readonly maxNumSeqs: number
  readonly maxQueuedReqs?: number
  readonly maxModelLen?: number
  readonly kvBlocks: number
  readonly blockSize: number
  readonly host: string
  readonly port: number
  readonly count: number
  readonly seed: number
  readonly apiKey?: string
  readonly requestIdHeaders?: boolean
}

const EXAMPLES = `
Examples:
  A vLLM server on port 8000 that answers with 100 tokens a second:
    $ infer-gateway sim --model llama-3.1-8b

  Three of them with two adapters each, on ports 8000 to 8002:
    $ infer-gateway sim --model llama-3.1-8b --lora sql,chat --count 3

  A small, slow SGLang server, to see queues grow:
    $ infer-gateway sim --engine sglang --model qwen3-8b --max-num-seqs 4 --kv-blocks 256 --ttft 500 --tpot 50

  Make its next two answers fail, and see what arrived:
    $ curl -X POST localhost:8000/sim/faults -d '{"kind":"status","status":503,"times":2}'
    $ curl localhost:8000/sim/last-requests
`

/** The command `infer-gateway sim`: simulated model servers until Ctrl-C. */
export function simCommand(): Command {
  return new Command('sim')
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
    .option('--max-loras <n>', 'different adapters that may run at the same time', atLeast(1), 4)
    .option('--ttft <ms>', 'time from admission to the first token', milliseconds, 50)
    .option('--tpot <ms>', 'time between tokens of one request', milliseconds, 10)
    .option('--max-num-seqs <n>', 'requests that run at the same time; the rest wait', atLeast(1), 256)
    .option('--max-queued-reqs <n>', 'running plus waiting requests above which new ones are refused', atLeast(1))
    .option('--kv-blocks <n>', 'blocks of the KV cache', atLeast(1), 27_881)
    .option('--block-size <tokens>', 'tokens in a KV block', atLeast(1), 16)
    .option(
      '--max-model-len <tokens>',
      'prompt and output together (default: 131072, or what the KV cache holds)',
      atLeast(1),
    )
    .option('--port <port>', 'port of the first server; 0 lets the system choose', atLeast(0), 8000)
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--count <n>', 'servers to run, on consecutive ports', atLeast(1), 1)
    .option('--seed <n>', 'same seed, same answers', atLeast(0), 1)
    .option('--api-key <key>', 'bearer token that calls must bring')
    .option('--request-id-headers', 'send x-request-id back in responses')
    .addHelpText('after', EXAMPLES)
    .action(async (flags: SimFlags, command: Command) => {
      const { sims, close } = await startOrExit(flags, command)
      for (const sim of sims) process.stdout.write(`${describeSim(sim)}\n`)
      await interrupted()
      await close()
    })
}

/** One line about a running simulated server: where it is, what it looks like, what it serves. */
export function describeSim(sim: Simulators['sims'][number]): string {
  const adapters = sim.adapters()
  const loras = adapters.length > 0 ? `  adapters ${adapters.join(', ')}` : ''
  return `${sim.url}  ${sim.engine}  model ${sim.models.join(', ')}${loras}`
}

/** Starts the servers; what cannot be (a port in use, values that do not go together) ends the command with one line. */
async function startOrExit(flags: SimFlags, command: Command): Promise<Simulators> {
  const { startSimulators: start } = await import('#apps/simulators.ts')
  try {
    return await start(Array.from({ length: flags.count }, (_, i) => planOf(flags, i)))
  } catch (error) {
    return command.error(`error: cannot start: ${error instanceof Error ? error.message : String(error)}`)
  }
}

function planOf(flags: SimFlags, index: number): Plan {
  return {
    engine: flags.engine,
    host: flags.host,
    port: flags.port === 0 ? 0 : flags.port + index,
    models: flags.model ?? ['sim-model'],
    adapters: flags.lora ?? [],
    maxLoras: flags.maxLoras,
    ttftMs: flags.ttft,
    tpotMs: flags.tpot,
    maxNumSeqs: flags.maxNumSeqs,
    kvBlocks: flags.kvBlocks,
    blockSize: flags.blockSize,
    seed: flags.seed,
    echoRequestId: flags.requestIdHeaders === true,
    ...(flags.maxQueuedReqs === undefined ? {} : { maxQueuedReqs: flags.maxQueuedReqs }),
    ...(flags.maxModelLen === undefined ? {} : { maxModelLen: flags.maxModelLen }),
    ...(flags.apiKey === undefined ? {} : { apiKey: flags.apiKey }),
  }
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

function atLeast(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (text.trim() === '' || !Number.isInteger(value) || value < least) {
      throw new InvalidArgumentError(`Not a whole number from ${least} on.`)
    }
    return value
  }
}
