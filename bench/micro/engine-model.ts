/** What the engine model costs: `scripts/run node bench/micro/engine-model.ts`. CPU time of this process, one thread. */
import { calibrationArms, runLadderArm } from '#lab/calibration.ts'
import { hashSegmentBlocks, hashTokenBlocks } from '#sim/model/block-hash.ts'
import { EngineModel } from '#sim/model/engine-model.ts'
import { engineSettings } from '#sim/model/engine-settings.ts'
import { tokensFromBytes } from '#sim/tokens.ts'

const rounds = 7

function cpuMs(run: () => void): number {
  const started = process.cpuUsage()
  run()
  const { user, system } = process.cpuUsage(started)
  return (user + system) / 1e3
}

/** Prints the least over rounds, divided by `times`. */
function measure(name: string, times: number, run: () => void): void {
  run()
  const least = Math.min(...Array.from({ length: rounds }, () => cpuMs(run)))
  console.log(`${name.padEnd(58)} ${((least * 1e6) / times).toFixed(0).padStart(10)} ns`)
}

const settings = engineSettings('qwen3-32b-2xh100')
const places = 128
const outputTokens = 2_000

/** Decodes `places` requests to their end; with `singly` one step at a time. */
function decode(singly: boolean): void {
  const engine = new EngineModel(settings, singly ? { onToken: () => undefined } : {})
  for (let i = 0; i < places; i++) {
    const blockHashes = hashSegmentBlocks([{ seed: i, tokens: 100 + outputTokens }], 16, 0)
    engine.submit({ promptTokens: 100, outputTokens, blockHashes }, 0)
  }
  engine.advance(Number.POSITIVE_INFINITY)
}

const text = Buffer.alloc(24_000, 'the quick brown fox ')
const tokens = tokensFromBytes(text)
const shared = { seed: 1, tokens: 6_000 }
const prefix = hashSegmentBlocks([shared], 16, 0)

measure(`step of ${places} decodes, one by one`, outputTokens, () => decode(true))
measure(`step of ${places} decodes, in bulk`, outputTokens, () => decode(false))
measure('24,000 bytes to tokens', 100, () => {
  for (let i = 0; i < 100; i++) tokensFromBytes(text)
})
measure('6,000 tokens to block hashes', 100, () => {
  for (let i = 0; i < 100; i++) hashTokenBlocks(tokens, 16, 0)
})
measure('hashes of a synthetic request, 6,000 known + 2,200 tokens', 1_000, () => {
  for (let i = 0; i < 1_000; i++) hashSegmentBlocks([shared, { seed: i, tokens: 2_200 }], 16, 0, prefix)
})
measure('a request of 7,200 cached tokens and 1 output token', 1_000, () => {
  const engine = new EngineModel(settings)
  const blockHashes = hashSegmentBlocks([{ seed: 1, tokens: 7_201 }], 16, 0)
  for (let i = 0; i < 1_000; i++) engine.submit({ promptTokens: 7_200, outputTokens: 1, blockHashes }, i * 100)
  engine.advance(Number.POSITIVE_INFINITY)
})
for (const arm of calibrationArms) {
  const seconds = cpuMs(() => runLadderArm(arm, 1)) / 1e3
  console.log(`${`ladder of 8 engines, ${arm.name}`.padEnd(58)} ${seconds.toFixed(1).padStart(10)} s (target: 60 s)`)
}
