const colours: Readonly<Record<string, string>> = { debug: '90', info: '36', warn: '33', error: '31' }

/** Control characters could move the cursor of the terminal that shows the line. */
const control = /\p{Cc}/gu

const escapeControl = (text: string): string =>
  text.replace(control, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`)

/**
 * A JSON log line as one short line for a person at a terminal: time of day (UTC), level, message, then the fields
 * as key=value. A line that is no JSON object comes back as it is.
 */
export function prettyLine(line: string): string {
  const record = parseObject(line)
  if (record === undefined) return line
  const { time, level, msg, ...fields } = record
  const name = String(level)
  const shownLevel = `\u001b[${colours[name] ?? '0'}m${escapeControl(name).padEnd(5)}\u001b[0m`
  const shownTime = typeof time === 'string' ? escapeControl(time.slice(11, 23)) : ''
  const shown = Object.entries(fields).map(
    ([key, value]) => ` \u001b[90m${escapeControl(key)}=\u001b[0m${shownValue(value)}`,
  )
  return `${shownTime} ${shownLevel} ${escapeControl(typeof msg === 'string' ? msg : '')}${shown.join('')}\n`
}

/** An error shows its message only: the stack is in the JSON form, for those who need it. */
function shownValue(value: unknown): string {
  if (typeof value === 'string') return /^[\w./:@#-]+$/.test(value) ? value : escapeControl(JSON.stringify(value))
  if (typeof value === 'object' && value !== null && 'stack' in value && 'message' in value) {
    return escapeControl(JSON.stringify(value.message))
  }
  return escapeControl(JSON.stringify(value) ?? '')
}

function parseObject(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
