/**
 * Differential fuzzing of the codecs against Node's own parser (llhttp with its strict defaults):
 *
 *   scripts/run node test/fuzz/run.ts [--codec NAME|all] [--seconds 600] [--seed N]
 *
 * Any split of any input must read the same as the whole; what llhttp refuses must not be accepted; what both accept
 * must be the same messages. Ends with 1 and the smallest case found when they disagree. `--seconds` is for each codec.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { codecs } from './codecs.ts'
import { Fuzzer } from './fuzz.ts'

const progressMs = 5000
/** Cases between two looks at the clock. */
const burst = 50

const { values } = parseArgs({
  options: {
    codec: { type: 'string', default: 'all' },
    seconds: { type: 'string', default: '600' },
    seed: { type: 'string', default: String(Math.floor(Date.now() / 1000)) },
  },
})
const chosen = codecs.filter(({ name }) => values.codec === 'all' || name === values.codec)
if (chosen.length === 0) {
  console.error(`no codec '${values.codec}': choose one of ${codecs.map(({ name }) => name).join(', ')}, all`)
  process.exit(2)
}
for (const codec of chosen) {
  const fuzzer = new Fuzzer(codec, Number(values.seed))
  const started = performance.now()
  const ends = started + Number(values.seconds) * 1000
  let reported = started
  let finding: ReturnType<Fuzzer['step']>
  const line = (): string => {
    const seconds = (performance.now() - started) / 1000
    const { cases, accepted } = fuzzer
    const rate = Math.round(cases / seconds)
    return `${codec.name}: ${Math.round(seconds)} s, ${cases} cases (${rate}/s), ${accepted} accepted, ${cases - accepted} not, seed ${values.seed}`
  }
  while (finding === undefined && performance.now() < ends) {
    for (let i = 0; i < burst && finding === undefined; i++) finding = fuzzer.step()
    // Memory of parsers and buffers that are gone is given back between turns of the event loop only.
    await nextTurn()
    if (performance.now() - reported < progressMs) continue
    reported = performance.now()
    console.log(line())
  }
  console.log(`${line()}: ${finding === undefined ? 'no difference' : 'DIFFERENCE'}`)
  if (finding === undefined) continue
  console.log(
    `${finding.difference}\n  input ${JSON.stringify(finding.input)}\n  cuts  ${JSON.stringify(finding.cuts)}`,
  )
  process.exitCode = 1
}
