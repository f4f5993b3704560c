import { Command, InvalidArgumentError } from 'commander'

const examples = `
Examples:
  Three simulated model servers behind the gateway, to try it:
    $ infer-gateway serve

  Your own configuration, a file or a directory; changes are taken over while it runs:
    $ infer-gateway serve -c gateway.yaml

The access log (one JSON line a request) goes to standard output, everything else to standard error.
SIGTERM or Ctrl-C lets requests finish within limits.drain; a second one ends at once.
SIGUSR2 starts the program anew, hands over its listening sockets, and ends when that serves: no request fails.
`

interface ServeFlags {
  readonly config?: string
  readonly threads?: number
  readonly pidFile?: string
}

const maxThreads = 256

function threadCount(text: string): number {
  const count = Number(text)
  if (Number.isInteger(count) && count >= 1 && count <= maxThreads) return count
  throw new InvalidArgumentError(`It is a whole number from 1 to ${maxThreads}.`)
}

/** The command `infer-gateway serve`. */
export function serveCommand(version: string): Command {
  return new Command('serve')
    .description('Run the gateway. Without a configuration it serves an example with three simulated model servers.')
    .option('-c, --config <file-or-dir>', 'configuration: a YAML file, or a directory of them')
    .option('-t, --threads <number>', "data threads, instead of the configuration's", threadCount)
    .option('--pid-file <file>', 'file in which the id of the process that serves is written')
    .addHelpText('after', examples)
    .action(async (flags: ServeFlags) => {
      const { serve } = await import('#apps/serve.ts')
      process.exitCode = await serve({
        config: flags.config,
        threads: flags.threads,
        pidFile: flags.pidFile,
        version,
        env: process.env,
      })
    })
}
