const octet = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)'
const ipv4Pattern = new RegExp(`^${octet}(?:\\.${octet}){3}$`)
const groupPattern = /^[0-9A-Fa-f]{1,4}$/

/** Whether a text is an IPv4 address in dotted decimal without leading zeros. */
export function isIpv4(text: string): boolean {
  return ipv4Pattern.test(text)
}

/** The eight groups of an IPv6 address (RFC 4291 2.2, without a zone); undefined when it is none. */
export function ipv6Groups(text: string): number[] | undefined {
  const halves = text.split('::')
  if (halves.length > 2 || text.length > 45) return undefined
  const [left, right] = [groupsOf(halves[0] ?? '', halves.length === 1), groupsOf(halves[1] ?? '', true)]
  if (left === undefined || right === undefined) return undefined
  const missing = 8 - left.length - right.length
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined
  return [...left, ...Array.from({ length: missing }, () => 0), ...right]
}

/** Groups between colons; the last two may be written as an IPv4 address. */
function groupsOf(text: string, isEnd: boolean): number[] | undefined {
  if (text === '') return []
  const parts = text.split(':')
  const groups: number[] = []
  for (const [index, part] of parts.entries()) {
    if (groupPattern.test(part)) groups.push(Number.parseInt(part, 16))
    else if (isEnd && index === parts.length - 1 && isIpv4(part)) {
      const [a = 0, b = 0, c = 0, d = 0] = part.split('.').map(Number)
      groups.push(a * 256 + b, c * 256 + d)
    } else return undefined
  }
  return groups
}

/** An IPv6 address as RFC 5952 writes it; one that carries an IPv4 address ends in dotted decimal. */
export function ipv6Text(groups: readonly number[]): string {
  const isMapped = groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0)
  if (isMapped) {
    const [high = 0, low = 0] = groups.slice(6)
    return `::ffff:${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`
  }
  let [from, length] = [0, 1]
  for (let at = 0; at < 8; at++) {
    let zeros = 0
    while (groups[at + zeros] === 0) zeros++
    if (zeros > length) [from, length] = [at, zeros]
  }
  const text = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(':')
  if (length < 2) return text(groups)
  return `${text(groups.slice(0, from))}::${text(groups.slice(from + length))}`
}
