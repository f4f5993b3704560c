/** Reversed polynomial of CRC-32C (Castagnoli, RFC 3720 appendix B.4). */
const polynomial = 0x82f63b78

const table: Readonly<Int32Array> = Int32Array.from({ length: 256 }, (_, index) => {
  let value = index
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ polynomial : value >>> 1
  return value
})

/** CRC-32C of `bytes[0, end)`, as an unsigned number. */
export function crc32c(bytes: Uint8Array, end = bytes.length): number {
  let crc = -1
  for (let i = 0; i < end; i++) crc = (crc >>> 8) ^ (table[(crc ^ (bytes[i] as number)) & 0xff] as number)
  return ~crc >>> 0
}
