import type { SimOptions } from '#sim/options.ts'
import { startSimulatorFleet } from './simulator-fleet.ts'

/** The model of the quick start: examples/quickstart.yaml names the same. */
const model = 'llama-3.1-8b'
const adapters = ['sql', 'chat']

/** What they run on: a token every 7 ms when there is nothing else to do, slower under load, a KV cache that fills. */
const preset = 'llama-8b-h100'

/** The fleet of examples/quickstart.yaml: two vLLM servers and one SGLang server for one base model. */
const fleet: readonly SimOptions[] = [
  { engine: 'vllm', port: 8101, models: [model], adapters, preset, seed: 1 },
  { engine: 'vllm', port: 8102, models: [model], adapters, preset, seed: 2 },
  { engine: 'sglang', port: 8103, models: [model], adapters, preset, seed: 3 },
]

/** Configuration that `infer-gateway serve` uses when it is given none. */
export const quickstartFile: URL = new URL('../../examples/quickstart.yaml', import.meta.url)

/** Starts the simulated fleet in a thread of its own; resolves with the function that stops it. */
export async function startQuickstartFleet(): Promise<() => Promise<void>> {
  const { close } = await startSimulatorFleet(fleet)
  return close
}
