import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { checkCommand } from './commands/check.ts'
import { explainCommand } from './commands/explain.ts'
import { labCommand } from './commands/lab.ts'
import { serveCommand } from './commands/serve.ts'
import { simCommand } from './commands/sim.ts'

const examples = `
Examples:
  Try it without a GPU (three simulated model servers behind the gateway):
    $ infer-gateway serve

  Put your own model servers behind it:
    $ infer-gateway check gateway.yaml
    $ infer-gateway serve -c gateway.yaml

Start with examples/three-boxes.yaml; docs/reference/config.md has every key.
`

/** Version of the package. */
function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  const { version } = JSON.parse(text) as { version: string }
  return version
}

const version = packageVersion()
const program = new Command('infer-gateway')
  .description('One endpoint in front of any number of LLM model servers: picks the best one for every request.')
  .version(version, '-V, --version', 'print the version')
  .showSuggestionAfterError()
  .showHelpAfterError('(add --help for the options)')
  .addHelpText('after', examples)
  .addCommand(serveCommand(version))
  .addCommand(checkCommand())
  .addCommand(explainCommand())
  .addCommand(simCommand())
  .addCommand(labCommand())

await program.parseAsync()
