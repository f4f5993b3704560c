/** What a metrics page says of one endpoint; NaN stands for what it does not say. */
export interface LoadReading {
  readonly running: number
  readonly waiting: number
  /** 0..1 */
  readonly kvUse: number
  readonly blockSize: number
  readonly blockCount: number
  readonly maxAdapters: number
  readonly adapterCount: number
  /** Names of the adapters in use; undefined when the page has no such list. */
  readonly adapters: readonly string[] | undefined
}

/** The fields that a reading knows, as bits. */
export function knownFields(reading: LoadReading): number {
  let bits = reading.adapters === undefined ? 0 : 1
  if (!Number.isNaN(reading.running)) bits |= 2
  if (!Number.isNaN(reading.waiting)) bits |= 4
  if (!Number.isNaN(reading.kvUse)) bits |= 8
  if (!Number.isNaN(reading.blockSize)) bits |= 16
  if (!Number.isNaN(reading.blockCount)) bits |= 32
  return bits
}

/** Whether a reading says nothing of the load. */
export function isEmpty(reading: LoadReading): boolean {
  return Number.isNaN(reading.running) && Number.isNaN(reading.waiting) && Number.isNaN(reading.kvUse)
}
