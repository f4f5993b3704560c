import { Command, InvalidArgumentError } from 'commander'

const examples = `
Examples:
  Why one request went where it did; its id is in the x-request-id header and in the access log:
    $ infer-gateway explain 3f9c2a5d8e1b40c7a6d2f013-1k

  The last ten recorded decisions of one model:
    $ infer-gateway explain --last 10 --model llama

  How many of the last decisions another profile, or another configuration, would have made otherwise, and why:
    $ infer-gateway explain --what-if least-request --last 200
    $ infer-gateway explain --what-if new-gateway.yaml --last 200

A gateway records one decision in 'scheduler.recordEvery' (64), and those of requests with the header x-infer-explain: 1
where 'scheduler.allowExplain' is set. Neither prompts nor sessions are recorded. The exit status is 0 when there is an
answer, 1 when there is none, and 2 when the command was used wrongly.
`

interface ExplainFlags {
  readonly admin: string
  readonly last?: number
  readonly model?: string
  readonly modelServer?: string
  readonly endpoint?: string
  readonly profile?: string
  readonly whatIf?: string
  readonly json?: boolean
}

const usualLast = 20
const mostLast = 1000

function wholeNumber(text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1 || value > mostLast) {
    throw new InvalidArgumentError(`It must be a whole number from 1 to ${mostLast}.`)
  }
  return value
}

/** The command `infer-gateway explain`: asks a running gateway why requests went where they did. */
export function explainCommand(): Command {
  return new Command('explain')
    .description('Say why requests went where they did, or where another profile would have sent them.')
    .argument('[request-id]', 'request, as in its x-request-id header')
    .option('--admin <url>', 'admin server of the gateway', 'http://127.0.0.1:9090')
    .option('--last <n>', `the last recorded decisions (${usualLast} unless said)`, wholeNumber)
    .option('--model <name>', 'only those of this model, as the engine knows it')
    .option('--model-server <key>', 'only those of this model server')
    .option('--endpoint <id>', 'only those that went to this endpoint')
    .option('--profile <name>', 'only those that this profile made')
    .option(
      '--what-if <profile>',
      'make them again: a profile in force or built in (house, balanced, llm-d, kthena), strategies, or a configuration',
    )
    .option('--json', 'print the result as JSON')
    .addHelpText('after', examples)
    .action(async (requestId: string | undefined, flags: ExplainFlags, command: Command) => {
      if (requestId === undefined && flags.last === undefined && flags.whatIf === undefined) {
        command.error("error: missing argument 'request-id', or --last", { exitCode: 2 })
      }
      const { explain } = await import('#apps/explain.ts')
      const { last = usualLast, json = false, ...rest } = flags
      try {
        process.stdout.write(await explain({ ...rest, requestId, last, isJson: json, env: process.env }))
      } catch (caught) {
        const { Fault } = await import('#core/fault.ts')
        if (!(caught instanceof Fault)) throw caught
        process.stderr.write(`error: ${caught.message}\n`)
        process.exitCode = 1
      }
    })
}
