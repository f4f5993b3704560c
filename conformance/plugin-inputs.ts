import type { LoadColumns } from '#contracts/load.ts'
import type { Candidates, Facts, KnownEndpoint, PluginPorts, ScheduleRequest } from '#contracts/schedule.ts'
import { seededRng } from '#core/clock.ts'
import { candidatesOf, type LoadRow, pluginPorts, scheduleRequest, slotAt } from '#plugins/plugin-case.ts'

/** Generated inputs of a plug-in, and what they hold now as comparable data. */
export interface PluginInputs {
  readonly request: ScheduleRequest
  readonly candidates: Candidates
  state(): { readonly request: ScheduleRequest; readonly slots: number[]; readonly columns: Record<string, number[]> }
}

/** Inputs with `count` endpoints: known, unknown and odd values mixed. The same seed gives the same inputs. */
export function inputsOf(seed: number, count: number): PluginInputs {
  const rng = seededRng(seed)
  const whole = (most: number): number => Math.floor(rng() * (most + 1))
  const maybe = (value: number): number => (rng() < 0.3 ? Number.NaN : value)
  const nowMs = 1_000_000
  const rows = Array.from({ length: count }, (): LoadRow => {
    return {
      running: maybe(whole(200)),
      waiting: maybe(whole(50)),
      kvUse: maybe(rng() * 1.1),
      inFlight: whole(100),
      inFlightAtReport: maybe(whole(100)),
      ttftMs: maybe(rng() * 5000),
      tpotMs: maybe(rng() * 80),
      observedAtMs: rng() < 0.2 ? 0 : nowMs - whole(60_000),
      health: whole(2),
      restUntilMs: rng() < 0.5 ? 0 : nowMs + whole(2000) - 1000,
      ejected: rng() < 0.3 ? 1 : 0,
      maxAdapters: maybe(whole(4)),
      adapterCount: maybe(whole(4)),
      prefilling: whole(20),
      uncachedTokens: whole(50_000),
      contextTokens: whole(500_000),
      prefillUs: maybe(rng() * 200),
      blockSize: maybe(16),
      blockCount: maybe(whole(20_000)),
      adapters: [0, 1, 2].filter(() => rng() < 0.3),
    }
  })
  const candidates = candidatesOf(rows)
  const request = scheduleRequest({ nowMs, adapter: 1, promptBytes: whole(100_000), session: 's' })
  const columnNames = Object.keys(candidates.loads).filter((name) => name !== 'hasAdapter')
  return {
    request,
    candidates,
    state: () => ({
      request: structuredClone(request),
      slots: [...candidates.slots],
      columns: Object.fromEntries(
        columnNames.map((name) => [name, [...(candidates.loads[name as keyof LoadColumns] as Float64Array)]]),
      ),
    }),
  }
}

/** Endpoints of which nothing is known. */
export function silentCandidates(count: number): Candidates {
  return candidatesOf(Array.from({ length: count }, () => ({})))
}

/** What a plug-in is made with: facts about the first `count` endpoints of `inputsOf`, the same for the same seed. */
export function portsOf(seed: number, count: number): PluginPorts {
  const ports = pluginPorts(seededRng(seed))
  const rng = seededRng(seed + 1)
  const { facts } = ports
  facts.promptTokens = 1 + Math.floor(rng() * 25_000)
  facts.missHash = Math.floor(rng() * 2 ** 32)
  facts.blockTokens = 64
  facts.totalBlocks = Math.ceil(facts.promptTokens / facts.blockTokens)
  for (let i = 0; i < count; i++) {
    facts.matchedBlocks[slotAt(i)] = Math.floor(rng() * (facts.totalBlocks + 1))
    facts.inFlightTokens[slotAt(i)] = Math.floor(rng() * 2_000_000)
    facts.requestTokens[slotAt(i)] = Math.floor(rng() * facts.promptTokens)
    facts.cachedTokens[slotAt(i)] = Math.floor(rng() * (facts.promptTokens + 1))
    facts.missHolders[slotAt(i)] = Math.floor(rng() * 3)
    facts.missUses[slotAt(i)] = Math.floor(rng() * 20)
  }
  return { ...ports, endpointOf: endpointIn }
}

const roles = ['decode', 'prefill', 'both', 'encode', undefined]
const ranges = ['0-2048', '2048-8192', '8192-131072', 'any', undefined]

/** An endpoint with or without labels, the same for the same slot. */
function endpointIn(slot: number): KnownEndpoint {
  const [role, range] = [roles[slot % roles.length], ranges[(slot * 7) % ranges.length]]
  const labels = {
    ...(role === undefined ? {} : { 'llm-d.ai/role': role }),
    ...(range === undefined ? {} : { 'llm-d.ai/context-length-range': range }),
  }
  return { id: `10.0.0.${slot}:8000`, host: `10.0.0.${slot}`, port: 8000, role: 'both', labels }
}

/** The same ports; names of facts that are asked for are added to `read`. */
export function watchFacts(ports: PluginPorts, read: Set<string>): PluginPorts {
  const facts = new Proxy(ports.facts, {
    get(target, name) {
      read.add(String(name))
      return target[name as keyof Facts]
    },
  })
  return { ...ports, facts }
}

/** The same candidates; names of the columns that are asked for are added to `read`. */
export function watchReads(candidates: Candidates, read: Set<string>): Candidates {
  const loads = new Proxy(candidates.loads, {
    get(target, name) {
      read.add(String(name))
      return target[name as keyof LoadColumns]
    },
  })
  return { slots: candidates.slots, count: candidates.count, loads }
}
