import type { PluginDefinition } from '#contracts/plugin.ts'
import type { Facts, Producer } from '#contracts/schedule.ts'
import type { Arrival, FleetView } from '#lab/virtual-fleet.ts'

/** What a producer is corrected with. */
export interface EventFactsPorts {
  readonly fleet: FleetView
  /** The request that is being placed. */
  readonly placing: () => Arrival | undefined
}

/**
 * A producer of prefix facts that then says what engines announce by KV events, as the gateway does where it follows them and
 * knows the tokens of every prompt: what requests in flight use is there as well. Events come without delay.
 */
export function toldByEvents(plugin: PluginDefinition, ports: EventFactsPorts): PluginDefinition {
  return {
    ...plugin,
    create(parameters, pluginPorts): Producer {
      const producer = plugin.create(parameters, pluginPorts) as Producer
      const held = new Float64Array(pluginPorts.facts.cachedTokens.length)
      return {
        produce(request, candidates) {
          producer.produce(request, candidates)
          const arrival = ports.placing()
          if (arrival !== undefined)
            correct(candidates, { facts: pluginPorts.facts, held, arrival, fleet: ports.fleet })
        },
        placed: (request, slot) => producer.placed?.(request, slot),
      }
    },
  }
}

interface Correction {
  readonly facts: Facts
  /** Blocks by slot; written. */
  readonly held: Float64Array
  readonly arrival: Arrival
  readonly fleet: FleetView
}

function correct(
  { slots, count }: { readonly slots: Int32Array; readonly count: number },
  { facts, held, arrival: { request }, fleet }: Correction,
): void {
  for (let i = 0; i < count; i++) {
    const slot = slots[i]!
    const { blockSize } = fleet.engines[slot]!.settings
    const most = Math.floor((request.promptTokens - 1) / blockSize)
    held[slot] = fleet.announcedBlocks(slot, request.blockHashes, most)
    facts.cachedTokens[slot] = Math.min(facts.promptTokens, Math.max(held[slot] * blockSize, facts.inUseTokens[slot]!))
  }
  for (let i = 0; i < count; i++) {
    let holders = 0
    for (let j = 0; j < count; j++) if (held[slots[j]!]! > held[slots[i]!]!) holders++
    facts.missHolders[slots[i]!] = holders
  }
}
