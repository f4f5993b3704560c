import { Command } from 'commander'

const examples = `
Examples:
  What a configuration comes to, or everything that is wrong with it:
    $ infer-gateway check gateway.yaml

  All YAML and JSON files of a directory, for a program:
    $ infer-gateway check --json config/

Nothing is started, connected to or looked up. The exit status is 0 when the configuration is valid (with or without
warnings), 1 when it is not, and 2 when the command was used wrongly.
`

interface CheckFlags {
  readonly json?: boolean
}

/** The command `infer-gateway check`: validates a configuration without starting anything. */
export function checkCommand(): Command {
  return new Command('check')
    .description('Check a configuration: every problem with file, line and key, or a summary of what it serves.')
    .argument('[file-or-dir]', 'configuration: a YAML or JSON file, or a directory of them')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', examples)
    .action(async (source: string | undefined, flags: CheckFlags, command: Command) => {
      if (source === undefined) command.error("error: missing argument 'file-or-dir'", { exitCode: 2 })
      const { checkConfig, renderCheck } = await import('#apps/check-config.ts')
      const report = await checkConfig(source, process.env)
      const text = flags.json === true ? `${JSON.stringify(report, null, 2)}\n` : renderCheck(report, wantsColor())
      process.stdout.write(text)
      process.exitCode = report.ok ? 0 : 1
    })
}

/** Colours go to terminals only, and not where https://no-color.org forbids them. */
function wantsColor(): boolean {
  return process.stdout.isTTY && (process.env.NO_COLOR ?? '') === ''
}
