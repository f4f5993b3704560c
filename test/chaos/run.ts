/**
 * Chaos: engines that fail in every way and clients that misbehave in every way, drawn from a seed, and an independent
 * record of what each request went through. `--seed N --seconds S --requests N --clients N`; `--session N` plays one
 * session alone, which is what a violation is reproduced by. Exit code 1 when anything was not as it must be.
 */
import { parseArgs } from 'node:util'
import { runChaos } from './chaos.ts'
import { endWithoutCleanup } from './processes.ts'
import { endingTable, summaryOf, violationText } from './report.ts'

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '60' },
    requests: { type: 'string', default: '1000000' },
    clients: { type: 'string', default: '150' },
    threads: { type: 'string' },
    session: { type: 'string' },
  },
})

const seed = Number(values.seed)
const result = await runChaos({
  seed,
  seconds: Number(values.seconds),
  requests: Number(values.requests),
  clients: Number(values.clients),
  ...(values.session === undefined ? {} : { session: Number(values.session) }),
  ...(values.threads === undefined ? {} : { config: { threads: Number(values.threads) } }),
})
console.log(endingTable(result))
for (const violation of result.firstViolations) console.log(`\n${violationText(violation, seed)}`)
console.log(`\n${summaryOf(seed, result)}`)
process.exitCode = result.violations > 0 ? 1 : 0
endWithoutCleanup()
