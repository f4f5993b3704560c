/**
 * Asks the real engines everything that conformance/engine-probe asks and writes their answers to its fixtures.
 * usage: node test/engines/record-answers.ts vllm|llamacpp
 */
import { join } from 'node:path'
import { probeEngine, type RecordedEngine, writeRecording } from '#conformance/engine-probe/recording.ts'
import { vllmFlags } from '#conformance/engine-probe/vllm-questions.ts'
import { startLlama } from './start-llama.ts'
import { startVllm, vllmDirectory } from './start-vllm.ts'

const kind = process.argv[2]
if (kind !== 'vllm' && kind !== 'llamacpp') throw new Error('name an engine: vllm or llamacpp')
await record(kind)

async function record(engineKind: RecordedEngine): Promise<void> {
  const engine = engineKind === 'vllm' ? await startVllm(vllmFlags) : await startLlama()
  if (engine === undefined) throw new Error(`${engineKind} is not installed`)
  try {
    const adapterPath = (name: string) => join(vllmDirectory(), 'model', 'adapters', name)
    await writeRecording(engineKind, await probeEngine(engineKind, engine.url, adapterPath))
  } finally {
    await engine.close()
  }
}
