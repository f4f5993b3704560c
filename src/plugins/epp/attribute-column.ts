import { z } from 'zod'
import type { LoadColumns } from '#contracts/load.ts'

const columns = {
  WaitingQueueSize: 'waiting',
  RunningRequestsSize: 'running',
  KVCacheUsagePercent: 'kvUse',
} as const satisfies Readonly<Record<string, keyof LoadColumns>>

const producer = 'core-metrics-extractor'

function columnNameOf(attribute: string): (typeof columns)[keyof typeof columns] | undefined {
  const [name = '', from = producer] = attribute.split('/')
  return from === producer && Object.hasOwn(columns, name) ? columns[name as keyof typeof columns] : undefined
}

/** Name of an attribute that the gateway has a load column for. */
export const attributeName = z
  .string()
  .refine((attribute) => columnNameOf(attribute) !== undefined, {
    message: `must be ${Object.keys(columns).join(', ')}: the attributes of ${producer}; others are not collected by this version`,
  })
  .default('WaitingQueueSize')
  .describe(`Attribute: ${Object.keys(columns).join(', ')}.`)

/** Who produces the attribute. */
export const attributeProducer = z
  .literal(producer)
  .default(producer)
  .describe('The producer of the attribute; no other is known.')

/** The load column of an attribute. */
export function attributeColumn({ waiting, running, kvUse }: LoadColumns, attribute: string): Float64Array {
  const name = columnNameOf(attribute)
  return name === 'kvUse' ? kvUse : name === 'running' ? running : waiting
}
