/**
 * Differential fuzzing of the codecs against Node's own parser (llhttp with its strict defaults):
 *
 *   scripts/run node test/fuzz/run.ts [--codec NAME|all] [--seconds 600] [--seed N]
 *
 * Any split of any input must read the same as the whole; what llhttp refuses must not be accepted; what both accept
 * must be the same messages. Ends with 1 and the smallest case found when they disagree. `--seconds` is for each codec.
 */
import { spawnSync } from 'node:child_process'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { Codec } from './codec.ts'
import { codecs } from './codecs.ts'
import { type Finding, Fuzzer } from './fuzz.ts'

const progressMs = 5000
/** Cases between two looks at the clock. */
const burst = 50

const { values } = parseArgs({
  options: {
    codec: { type: 'string', default: 'all' },
    seconds: { type: 'string', default: '600' },
    check: { type: 'string' },
    seed: { type: 'string', default: String(Math.floor(Date.now() / 1000)) },
  },
})
/** Whether a fresh process sees the difference too: what only shows after a million other cases is no case to keep. */
function repeats(codec: Codec, { input, cuts }: Finding): boolean {
  const text = JSON.stringify({ codec: codec.name, input: Buffer.from(input, 'latin1').toString('base64'), cuts })
  const { status } = spawnSync(process.execPath, [import.meta.filename, '--check', text], { stdio: 'inherit' })
  return status !== 0
}

/** As a string literal in which every byte can be seen: a blank of latin1 is not a blank. */
function visible(input: string): string {
  return JSON.stringify(input).replace(/[\x7f-\xff]/g, (char) => `\\x${char.charCodeAt(0).toString(16)}`)
}

/** Checks one case: 0 when everybody agrees. */
function checkOne(text: string): number {
  const one = JSON.parse(text) as { readonly codec: string; readonly input: string; readonly cuts: readonly number[] }
  const codec = codecs.find(({ name }) => name === one.codec)
  const difference = codec?.check(Buffer.from(one.input, 'base64'), one.cuts).difference
  return codec !== undefined && difference === undefined ? 0 : 1
}

if (values.check !== undefined) process.exit(checkOne(values.check))
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
  let slips = 0
  const line = (): string => {
    const seconds = (performance.now() - started) / 1000
    const { cases, accepted } = fuzzer
    const rate = Math.round(cases / seconds)
    return `${codec.name}: ${Math.round(seconds)} s, ${cases} cases (${rate}/s), ${accepted} accepted, ${cases - accepted} not, seed ${values.seed}`
  }
  while (finding === undefined && performance.now() < ends) {
    for (let i = 0; i < burst && finding === undefined; i++) finding = fuzzer.step()
    if (finding !== undefined && !repeats(codec, finding)) {
      slips++
      finding = undefined
    }
    // Memory of parsers and buffers that are gone is given back between turns of the event loop only.
    await nextTurn()
    if (performance.now() - reported < progressMs) continue
    reported = performance.now()
    console.log(line())
  }
  const slipped = slips === 0 ? '' : `, ${slips} that a fresh process does not repeat`
  console.log(`${line()}: ${finding === undefined ? 'no difference' : 'DIFFERENCE'}${slipped}`)
  if (finding === undefined) continue
  console.log(`${finding.difference}\n  input ${visible(finding.input)}\n  cuts  ${JSON.stringify(finding.cuts)}`)
  process.exitCode = 1
}
