import { Command } from 'commander'

const examples = `
Examples:
  Three simulated model servers behind the gateway, to try it:
    $ infer-gateway serve

  Your own configuration, a file or a directory; changes are taken over while it runs:
    $ infer-gateway serve -c gateway.yaml

The access log (one JSON line a request) goes to standard output, everything else to standard error.
SIGTERM or Ctrl-C lets requests finish within limits.drain; a second one ends at once.
`

interface ServeFlags {
  readonly config?: string
}

/** The command `infer-gateway serve`. */
export function serveCommand(version: string): Command {
  return new Command('serve')
    .description('Run the gateway. Without a configuration it serves an example with three simulated model servers.')
    .option('-c, --config <file-or-dir>', 'configuration: a YAML file, or a directory of them')
    .addHelpText('after', examples)
    .action(async (flags: ServeFlags) => {
      const { serve } = await import('#apps/serve.ts')
      process.exitCode = await serve({ config: flags.config, version, env: process.env })
    })
}
