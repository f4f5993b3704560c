const lf = 0x0a
const cr = 0x0d

/**
 * Position behind the last complete event in [start, end), or -1 when none ends there. An event ends with an empty
 * line; lines end with LF or CRLF (WHATWG HTML 9.2.6; a lone CR, which the standard allows too, no engine sends).
 * Looks from the end, where the answer is nearly always at once.
 */
export function lastEventEnd(data: Buffer, start: number, end: number): number {
  for (let pos = end - 1; pos > start; pos--) {
    if (data[pos] !== lf) continue
    const before = data[pos - 1]
    if (before === lf || (before === cr && pos - 2 >= start && data[pos - 2] === lf)) return pos + 1
  }
  return -1
}

/** Position behind the first complete event in [start, end), or -1. */
export function eventEnd(data: Buffer, start: number, end: number): number {
  let pos = data.indexOf(lf, start)
  while (pos >= 0 && pos < end) {
    const next = data[pos + 1]
    if (pos + 1 < end && next === lf) return pos + 2
    if (pos + 2 < end && next === cr && data[pos + 2] === lf) return pos + 3
    pos = data.indexOf(lf, pos + 1)
  }
  return -1
}

/**
 * Where the payload of an event with exactly one `data` line is, without the optional blank and the line end;
 * undefined when it has none or several.
 */
export function eventData(data: Buffer, start: number, end: number): { start: number; end: number } | undefined {
  let range: { start: number; end: number } | undefined
  let pos = start
  while (pos < end) {
    const found = data.indexOf(lf, pos)
    const lineEnd = found < 0 || found >= end ? end : found
    if (startsWithData(data, pos, lineEnd)) {
      if (range !== undefined) return undefined
      const from = pos + 5 < lineEnd && data[pos + 5] === 0x20 ? pos + 6 : pos + 5
      range = { start: from, end: lineEnd > from && data[lineEnd - 1] === cr ? lineEnd - 1 : lineEnd }
    }
    pos = lineEnd + 1
  }
  return range
}

/** `data:` at `pos`. */
function startsWithData(data: Buffer, pos: number, end: number): boolean {
  return (
    end - pos >= 5 &&
    data[pos] === 0x64 &&
    data[pos + 1] === 0x61 &&
    data[pos + 2] === 0x74 &&
    data[pos + 3] === 0x61 &&
    data[pos + 4] === 0x3a
  )
}
