const unitBytes: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  kB: 1e3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
}

/**
 * Reads `32MiB`, `64KiB`, `1.5GB`, `4096B` or `4096`: kB, MB and GB are powers of 1000; KiB, MiB and GiB powers of 1024.
 * Returns whole bytes, or undefined when the text is no size.
 */
export function parseByteSize(text: string): number | undefined {
  const match = /^(\d{1,16}(?:\.\d{1,6})?) ?([kKMG]?i?B|)$/.exec(text)
  const unit = unitBytes[match?.[2] ?? '?']
  if (match === null || unit === undefined) return undefined
  const bytes = Number(match[1]) * unit
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

/** Writes bytes with the greatest binary unit that divides them: `32MiB`, `1000B`. */
export function formatByteSize(bytes: number): string {
  for (const unit of ['GiB', 'MiB', 'KiB'] as const) {
    const size = unitBytes[unit] ?? 1
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit}`
  }
  return `${bytes}B`
}
