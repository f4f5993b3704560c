/** Bytes as a list of slices in order: joined only where a caller needs them joined. */
export type ByteList = readonly Buffer[]

/** A replacement of the bytes [start, end) by `insert`. */
export interface Splice {
  readonly start: number
  readonly end: number
  readonly insert: Buffer
}

/** Total length in bytes. */
export function byteLength(list: ByteList): number {
  let total = 0
  for (const slice of list) total += slice.length
  return total
}

/** The bytes [start, end): a view when they lie in one slice, else a copy. */
export function byteRange(list: ByteList, start: number, end: number): Buffer {
  let offset = 0
  const parts: Buffer[] = []
  for (const slice of list) {
    const sliceEnd = offset + slice.length
    if (sliceEnd > start && offset < end) parts.push(slice.subarray(Math.max(0, start - offset), end - offset))
    offset = sliceEnd
    if (offset >= end) break
  }
  return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)
}

/**
 * Applies splices (ascending, not overlapping) without copying what stays: the result shares the input's memory. An
 * empty list of splices gives back the list itself.
 */
export function spliceBytes(list: ByteList, splices: readonly Splice[]): ByteList {
  if (splices.length === 0) return list
  const result: Buffer[] = []
  let offset = 0
  let next = 0
  for (const slice of list) {
    let from = 0
    while (next < splices.length) {
      const splice = splices[next] as Splice
      if (splice.start > offset + slice.length || (splice.start === offset + slice.length && splice.end > splice.start))
        break
      const cut = Math.max(splice.start - offset, from)
      if (cut > from) result.push(slice.subarray(from, cut))
      if (splice.start >= offset && splice.insert.length > 0) result.push(splice.insert)
      from = Math.min(Math.max(splice.end - offset, from), slice.length)
      if (splice.end > offset + slice.length) break
      next++
    }
    if (from < slice.length) result.push(from === 0 ? slice : slice.subarray(from))
    offset += slice.length
  }
  return result
}
