import { availableParallelism } from 'node:os'
import { Command, InvalidArgumentError, Option } from 'commander'
import type { LabOutput } from '#apps/lab.ts'

const overview = `
Engines are simulated and time is virtual: two minutes of traffic on eight engines take about a second on one core. The same
options give the same report, byte for byte, however many jobs run. docs/guides/laboratory.md says how to read it and how far
to trust it.

Where to start:
  $ infer-gateway lab list                                       what there is
  $ infer-gateway lab run --workload chat --arms own,llm-d       this gateway against one peer
  $ infer-gateway lab tune --trace requests.jsonl --engines 4    a profile for your own traffic
`

const runExamples = `
Examples:
  Everything there is, with a page to look at (some minutes on several cores):
    $ infer-gateway lab run --out lab

  This gateway against two peers over two workloads; kinds of arms are names too:
    $ infer-gateway lab run --workload chat,mooncake --arms own,llm-d,lmetric --seeds 5

  One workload from half its load to beyond it:
    $ infer-gateway lab run --workload zipf --loads 0.5,0.75,1,1.2 --out lab

  Peers at their published constants, and at the best ones in hindsight:
    $ infer-gateway lab run --arms own,peer --hindsight

  Your own traffic on four L4, in Mooncake's format or as Azure's CSV:
    $ infer-gateway lab run --trace requests.jsonl --engines 4 --preset llama-8b-l4
`

const capacityExamples = `
Examples:
  Which of these carries most chat, and how much:
    $ infer-gateway lab capacity --workload chat --arms own,llm-d,smetric --out lab

  All workloads, 95 % instead of 99 %:
    $ infer-gateway lab capacity --share 0.95
`

const tuneExamples = `
Examples:
  A profile for a recorded trace, on a fleet like yours:
    $ infer-gateway lab tune --trace requests.jsonl --engines 4 --preset llama-8b-a100 --metric ttft

  Better than the profile 'chat' of your configuration?
    $ infer-gateway lab tune --trace requests.jsonl --config gateway.yaml --profile chat --budget 300

What is printed at the end loads with 'infer-gateway check'. The gain is measured on requests that the search has not seen, and a
gain whose 95 % interval includes 0 is not claimed.
`

const replayExamples = `
Examples:
  What a running gateway has decided lately, replayed under its own profile and under the one of another configuration:
    $ curl -s 'http://127.0.0.1:9090/debug/decisions?full=1&limit=1000' > decisions.json
    $ infer-gateway lab replay decisions.json --what-if new-gateway.yaml --preset llama-8b-a100

  The same against a peer and a blind rule, at twice the speed:
    $ infer-gateway lab replay decisions.json --arms llm-d,least-request --speed 2

Unlike 'infer-gateway explain --what-if', which judges each decision alone, here everything follows from where requests go.
A thread keeps its last 256 decisions: name several files for more, and set 'scheduler.recordEvery: 1' to record all requests.
`

const httpExamples = `
Examples:
  A minute and a half of chat at half its load, on eight simulated engines behind the real gateway:
    $ infer-gateway lab http --workload chat

  A smaller fleet, and its time four times as fast:
    $ infer-gateway lab http --workload zipf --rate 8 --engines 2 --time-factor 4

Everything runs on this machine, and the figures are right only as long as no part of it is busy: the report says how busy
each part was. A higher --stream-interval makes less work, a --time-factor below 1 leaves more time for it.
`

/** Options of every command that runs the laboratory. */
interface CommonFlags {
  readonly seeds: number
  readonly seconds: number
  readonly warmUp: number
  readonly jobs: number
  readonly trace?: string
  readonly engines?: number
  readonly preset?: string
  readonly out?: string
}

interface ChoiceFlags {
  readonly workload?: readonly string[]
  readonly arms?: readonly string[]
}

interface RunFlags extends CommonFlags, ChoiceFlags {
  readonly loads: readonly number[]
  readonly rate?: number
  readonly hindsight?: boolean
  readonly tuningSeeds: number
}

interface CapacityFlags extends CommonFlags, ChoiceFlags {
  readonly share: number
  readonly tolerance: number
}

interface HttpFlags extends CommonFlags {
  readonly workload?: readonly string[]
  readonly arm: string
  readonly loads: readonly number[]
  readonly rate?: number
  readonly timeFactor: number
  readonly streamInterval: number
}

interface ReplayFlags extends Pick<CommonFlags, 'seeds' | 'engines' | 'out'> {
  readonly modelServer?: string
  readonly whatIf?: readonly string[]
  readonly arms?: readonly string[]
  readonly preset: string
  readonly outputTokens: number
  readonly speed: number
  readonly warmUpPart: number
}

interface TuneFlags extends CommonFlags {
  readonly workload?: string
  readonly load?: number
  readonly metric: string
  readonly budget: number
  readonly config?: string
  readonly profile: string
}

/** The command `infer-gateway lab`: ways to place requests, compared on simulated engines. */
export function labCommand(): Command {
  return new Command('lab')
    .description(
      'Compare ways to place requests on simulated engines, and find the best settings for your own traffic: no model, accelerator or waiting.',
    )
    .addCommand(listCommand())
    .addCommand(runCommand())
    .addCommand(capacityCommand())
    .addCommand(tuneCommand())
    .addCommand(replayCommand())
    .addCommand(httpCommand())
    .addHelpText('after', overview)
}

function listCommand(): Command {
  return new Command('list')
    .description('List workloads, arms with their parameters, and engines.')
    .action(async () => {
      const { labList } = await import('#apps/lab.ts')
      process.stdout.write(labList())
    })
}

function runCommand(): Command {
  const command = new Command('run')
    .description('Run arms over workloads and print what each came to, and its regret against the best.')
    .option('--workload <names>', 'workloads to run; all without it, or the trace alone with one', addNames)
    .option('--arms <names>', 'arms or kinds of arms to compare; all without it', addNames)
    .option('--loads <factors>', "loads to run, as multiples of each workload's own", numbers, [1])
    .addOption(
      new Option('--rate <load>', "load in the workload's unit, instead").argParser(positive).conflicts('loads'),
    )
    .option('--hindsight', 'also run peers at their best setting for each workload, found on other seeds (marked *)')
    .option('--tuning-seeds <n>', 'seeds for that search', wholeFrom(1), 2)
  return common(command, { seeds: 3, seconds: 120, warmUp: 60, files: 'report' })
    .addHelpText('after', runExamples)
    .action(async (flags: RunFlags, self: Command) => {
      const { labRun } = await import('#apps/lab.ts')
      const { loads, rate, hindsight = false, tuningSeeds } = flags
      const options = { ...commonOptions(flags), ...choice(flags), loads, rate, hindsight, tuningSeeds }
      await orUsageError(self, labRun(options, output()))
    })
}

function capacityCommand(): Command {
  const command = new Command('capacity')
    .description('Search the highest load that each arm carries with nearly all requests inside the objective.')
    .option('--workload <names>', 'workloads to search; all without it, or the trace alone with one', addNames)
    .option('--arms <names>', 'arms or kinds of arms; all without it', addNames)
    .option('--share <part>', 'part of the requests that must be inside the objective', partOfOne, 0.99)
    .option('--tolerance <ratio>', 'ratio of the bounds at which a search ends', ratioAboveOne, 1.03)
  return common(command, { seeds: 3, seconds: 120, warmUp: 60, files: 'capacity' })
    .addHelpText('after', capacityExamples)
    .action(async (flags: CapacityFlags, self: Command) => {
      const { labCapacity } = await import('#apps/lab.ts')
      const { share, tolerance } = flags
      await orUsageError(self, labCapacity({ ...commonOptions(flags), ...choice(flags), share, tolerance }, output()))
    })
}

function tuneCommand(): Command {
  const command = new Command('tune')
    .description(
      'Search the weights and parameters of a profile for your traffic and fleet, and print the best as configuration.',
    )
    .option('--workload <name>', 'workload to tune for, where there is no trace')
    .option('--load <load>', "load in the workload's unit; for a trace, times as fast as recorded", positive)
    .option('--metric <name>', 'what to make better: e2e, ttft or goodput', 'e2e')
    .option('--budget <runs>', 'runs at most, the last comparison included', wholeFrom(1), 120)
    .option('-c, --config <file>', "configuration with today's profile; the gateway's defaults without it")
    .option('--profile <name>', "today's profile in it", 'default')
  return common(command, { seeds: 5, seconds: 60, warmUp: 30, files: 'tuning' })
    .addHelpText('after', tuneExamples)
    .action(async (flags: TuneFlags, self: Command) => {
      const { labTune } = await import('#apps/lab-tune.ts')
      const { workload, load, metric, budget, config, profile } = flags
      const options = { ...commonOptions(flags), workload, load, metric, budget, config, profile, env: process.env }
      await orUsageError(self, labTune(options, output()))
    })
}

function replayCommand(): Command {
  return new Command('replay')
    .description('Replay decisions that a gateway has recorded on simulated engines, under other profiles: what if?')
    .argument('<files...>', 'what the admin server answers at /debug/decisions, or `explain --json` prints')
    .option('--what-if <profiles>', 'profiles in force or built in, configurations, strategies of AIBrix', addNames)
    .option('--arms <names>', 'arms of the laboratory, or kinds of them, beside those', addNames)
    .option('--model-server <key>', 'only the decisions of this model server')
    .option('--engines <n>', 'engines of the fleet, instead of as many as the model server had', wholeFrom(1))
    .option('--preset <name>', 'what an engine is: a model on an accelerator (see list)', 'qwen3-32b-2xh100')
    .option('--output-tokens <n>', 'mean length of answers, which decisions do not have', wholeFrom(1), 250)
    .option('--speed <factor>', 'how many times faster than recorded', positive, 1)
    .option('--warm-up-part <part>', 'part of the recording that only fills the caches', partOfOne, 0.25)
    .option('--seeds <n>', 'draws of the answers', wholeFrom(1), 3)
    .option('--out <dir>', 'folder for replay.json and replay.html')
    .addHelpText('after', replayExamples)
    .action(async (files: string[], flags: ReplayFlags, self: Command) => {
      const { labReplay } = await import('#apps/lab-replay.ts')
      const { modelServer, whatIf = [], arms = [], engines, out, ...others } = flags
      const options = { ...others, files, modelServer, whatIf, arms, engines, out, env: process.env }
      await orUsageError(self, labReplay(options, output()))
    })
}

function httpCommand(): Command {
  const command = new Command('http')
    .description(
      'Serve workloads by the real gateway over HTTP, in real time, and say how far virtual time agrees with it.',
    )
    .option('--workload <names>', 'workloads to serve; all without it, or the trace alone with one', addNames)
    .option('--arm <name>', "one of the gateway's own arms", 'gateway')
    .option('--loads <factors>', "loads to serve, as multiples of each workload's own", numbers, [0.5])
    .addOption(
      new Option('--rate <load>', "load in the workload's unit, instead").argParser(positive).conflicts('loads'),
    )
    .option('--time-factor <factor>', "how many times faster than the clock the fleet's time goes", positive, 1)
    .option('--stream-interval <tokens>', 'tokens in one event of a stream', wholeFrom(1), 8)
  return common(command, { seeds: 1, seconds: 60, warmUp: 30, files: 'http' })
    .addHelpText('after', httpExamples)
    .action(async (flags: HttpFlags, self: Command) => {
      const { labHttp } = await import('#apps/lab-http.ts')
      const { workload: workloads, arm, loads, rate, timeFactor, streamInterval } = flags
      const options = { ...commonOptions(flags), workloads, arm, loads, rate, timeFactor, streamInterval }
      await orUsageError(self, labHttp(options, output()))
    })
}

interface Defaults {
  readonly seeds: number
  readonly seconds: number
  readonly warmUp: number
  /** Beginning of the names of the files that are written. */
  readonly files: string
}

/** Adds what all commands that run something have. */
function common(command: Command, { seeds, seconds, warmUp, files }: Defaults): Command {
  return command
    .option('--trace <file>', 'replay a recorded trace: the workload `trace`')
    .option('--engines <n>', 'engines of the fleet, instead of those of the workload', wholeFrom(1))
    .option('--preset <name>', 'what an engine is: a model on an accelerator (see list)')
    .option(
      '--seeds <n>',
      'lists of requests that every arm gets, none of which a search has seen',
      wholeFrom(1),
      seeds,
    )
    .option('--seconds <s>', 'virtual seconds of arrivals that are measured', positive, seconds)
    .option('--warm-up <s>', 'virtual seconds of arrivals before them', positive, warmUp)
    .option('-j, --jobs <n>', 'threads; the results are the same with any number', wholeFrom(1), availableParallelism())
    .option('--out <dir>', `folder for ${files}.json and ${files}.html`)
}

function commonOptions({ seeds, seconds, warmUp, jobs, trace, engines, preset, out }: CommonFlags) {
  return { seeds, seconds, warmUpS: warmUp, jobs, trace, engines, preset, out }
}

function choice({ workload, arms }: ChoiceFlags) {
  return { workloads: workload, arms }
}

/** Where there is no terminal, tables are as wide as a wide one. */
const defaultWidth = 140

function output(): LabOutput {
  return {
    print: (text) => void process.stdout.write(text),
    progress: showProgress,
    // A terminal that does not know its size says 0.
    width: (process.stdout.isTTY ? process.stdout.columns : 0) || defaultWidth,
  }
}

/** Ends the command with one line when the options name something that is not there. */
async function orUsageError(command: Command, work: Promise<unknown>): Promise<void> {
  try {
    await work
  } catch (error) {
    const { LabUsageError } = await import('#apps/lab.ts')
    if (!(error instanceof LabUsageError)) throw error
    command.error(`error: ${error.message}`)
  }
}

/** One line that the next one replaces; nothing where standard error is not a terminal. */
function showProgress(line: string): void {
  if (process.stderr.isTTY)
    process.stderr.write(`\r\u001b[K${line.slice(0, (process.stderr.columns || defaultWidth) - 1)}`)
}

function addNames(text: string, before: readonly string[] = []): string[] {
  return [...before, ...text.split(',').map((name) => name.trim())].filter((name) => name !== '')
}

function positive(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value) || value <= 0)
    throw new InvalidArgumentError('Not a number above 0.')
  return value
}

function numbers(text: string): number[] {
  return text.split(',').map(positive)
}

function partOfOne(text: string): number {
  const value = positive(text)
  if (value > 1) throw new InvalidArgumentError('Not a part from 0 to 1.')
  return value
}

function ratioAboveOne(text: string): number {
  const value = positive(text)
  if (value <= 1) throw new InvalidArgumentError('Not a ratio above 1.')
  return value
}

function wholeFrom(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (text.trim() === '' || !Number.isInteger(value) || value < least) {
      throw new InvalidArgumentError(`Not a whole number from ${least} on.`)
    }
    return value
  }
}
