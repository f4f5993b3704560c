import { Command, InvalidArgumentError } from 'commander'

const examples = `
Examples:
  Everything there is, with 3 seeds (some minutes):
    $ infer-gateway lab run --out lab

  This gateway against two others over two workloads:
    $ infer-gateway lab run --workload chat,mooncake --arms gateway,llm-d,lmetric --seeds 5

  One workload at another load; what a load means depends on the workload:
    $ infer-gateway lab list
    $ infer-gateway lab run --workload zipf --rate 58

Engines are simulated and time is virtual: docs/guides/laboratory.md says how far to trust it.
`

interface LabRunFlags {
  readonly workload?: readonly string[]
  readonly arms?: readonly string[]
  readonly seeds: number
  readonly rate?: number
  readonly seconds: number
  readonly warmUp: number
  readonly out?: string
}

/** The command `infer-gateway lab`: ways to place requests, compared on simulated engines. */
export function labCommand(): Command {
  return new Command('lab')
    .description(
      'Compare ways to place requests on simulated engines, in virtual time: no model, accelerator or waiting.',
    )
    .addCommand(runCommand())
    .addCommand(listCommand())
}

function listCommand(): Command {
  return new Command('list').description('List the workloads and the arms.').action(async () => {
    const { labList } = await import('#apps/lab.ts')
    process.stdout.write(labList())
  })
}

function runCommand(): Command {
  return new Command('run')
    .description('Run arms over workloads and print what each came to, and its regret against the best.')
    .option('--workload <name>', 'workload to run; all without it (repeat or separate by commas)', addNames)
    .option('--arms <name>', 'arm to compare; all without it (repeat or separate by commas)', addNames)
    .option('--seeds <n>', 'lists of requests that every arm gets', wholeFrom(1), 3)
    .option('--rate <load>', "load in the workload's unit, instead of its own", positive)
    .option('--seconds <s>', 'virtual seconds of arrivals that are measured', positive, 120)
    .option('--warm-up <s>', 'virtual seconds of arrivals before them', positive, 60)
    .option('--out <dir>', 'folder for report.json and report.html')
    .addHelpText('after', examples)
    .action(async (flags: LabRunFlags, command: Command) => {
      const { labRun, UnknownLabName } = await import('#apps/lab.ts')
      const options = {
        workloads: flags.workload,
        arms: flags.arms,
        seeds: flags.seeds,
        rate: flags.rate,
        seconds: flags.seconds,
        warmUpS: flags.warmUp,
        out: flags.out,
      }
      try {
        await labRun(options, { print: (text) => void process.stdout.write(text), progress: showProgress })
      } catch (error) {
        if (!(error instanceof UnknownLabName)) throw error
        command.error(`error: ${error.message}`)
      }
    })
}

/** One line that the next one replaces; nothing where standard error is not a terminal. */
function showProgress(line: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${line}`)
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

function wholeFrom(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (text.trim() === '' || !Number.isInteger(value) || value < least) {
      throw new InvalidArgumentError(`Not a whole number from ${least} on.`)
    }
    return value
  }
}
