import { isIP } from 'node:net'
import { z } from 'zod'
import { formatByteSize, parseByteSize } from '#config/byte-size.ts'
import { formatDuration, maxDurationMs, parseDuration } from '#config/duration.ts'

/** What a schema says of itself on the reference page. */
declare module 'zod' {
  interface GlobalMeta {
    /** Kind of value in words, where the schema's own type says too little: `duration`, `size`. */
    typeText?: string
    /** The default in words, where it is not a fixed value. */
    defaultText?: string
    /** Schema of the value where it may be a mapping. Not typed as one: the type checker would never come to an end. */
    mapping?: unknown
  }
}

/**
 * A mapping that takes these keys only. The message of its unrecognized_keys issue lists the keys it knows (json), so
 * that whoever reports the problem can name the nearest.
 */
export function strict<Shape extends z.core.$ZodLooseShape>(shape: Shape): z.ZodObject<Shape, z.core.$strict> {
  const keys = JSON.stringify(Object.keys(shape))
  return z.strictObject(shape, { error: (issue) => (issue.code === 'unrecognized_keys' ? keys : undefined) })
}

/** A mapping that is read only in part: further keys are left alone. */
export function partial<Shape extends z.core.$ZodLooseShape>(shape: Shape): z.ZodObject<Shape, z.core.$loose> {
  return z.looseObject(shape)
}

type Form = 'text' | 'number' | 'boolean' | 'list' | 'mapping'

/** What a plain value is, in the words of messages. */
export function formOf(value: unknown): Form | 'nothing' {
  if (value === null || value === undefined) return 'nothing'
  if (Array.isArray(value)) return 'list'
  if (typeof value === 'object') return 'mapping'
  if (typeof value === 'string') return 'text'
  return typeof value === 'boolean' ? 'boolean' : 'number'
}

type FormSchemas = Partial<Record<Form, z.ZodType>>
type FormOutput<Schemas extends FormSchemas> = {
  [Key in keyof Schemas]: Schemas[Key] extends z.ZodType ? z.output<Schemas[Key]> : never
}[keyof Schemas]

/**
 * One schema per form of value: unlike a union, a wrong value is judged by the schema of its own form only, so that the
 * message is about what was meant. `expected` follows "must be".
 */
export function byForm<Schemas extends FormSchemas>(
  schemas: Schemas,
  expected: string,
): z.ZodType<FormOutput<Schemas>> {
  return z
    .any()
    .transform((value: unknown, context): FormOutput<Schemas> => {
      const form = formOf(value)
      const schema = form === 'nothing' ? undefined : schemas[form]
      const result = schema?.safeParse(value)
      if (result?.success === true) return result.data as FormOutput<Schemas>
      if (result === undefined) context.addIssue({ code: 'custom', message: `must be ${expected}`, input: value })
      for (const issue of result?.error.issues ?? [])
        context.issues.push({ ...issue, input: value } as z.core.$ZodRawIssue)
      return z.NEVER
    })
    .meta({
      typeText: expected,
      ...(schemas.mapping === undefined ? {} : { mapping: schemas.mapping }),
    }) as z.ZodType<FormOutput<Schemas>>
}

type Reading<Output> = { readonly value: Output } | { readonly fails: string }

/** A schema from a function; `typeText` is what the reference page calls it. */
export function scalar<Output>(typeText: string, read: (value: unknown) => Reading<Output>): z.ZodType<Output> {
  const schema = z.any().transform((value: unknown, context): Output => {
    const result = read(value)
    if ('value' in result) return result.value
    context.addIssue({ code: 'custom', message: result.fails, input: value })
    return z.NEVER
  })
  return schema.meta({ typeText }) as z.ZodType<Output>
}

/** A duration as text (config/duration.ts), or the number 0; milliseconds. */
export function duration(minMs: number, maxMs: number = maxDurationMs): z.ZodType<number> {
  return scalar('duration', (value) => {
    const durationMs = value === 0 ? 0 : typeof value === 'string' ? parseDuration(value) : undefined
    if (durationMs === undefined) {
      return { fails: "must be a duration with its unit, such as '250ms', '10s' or '1m30s'" }
    }
    if (durationMs >= minMs && durationMs <= maxMs) return { value: durationMs }
    return { fails: `must be between ${formatDuration(minMs)} and ${formatDuration(maxMs)}` }
  })
}

/** A size in bytes as text with a unit, or a plain number of bytes. */
export function byteSize(minBytes: number, maxBytes: number): z.ZodType<number> {
  return scalar('size', (value) => {
    const bytes = typeof value === 'number' || typeof value === 'string' ? parseByteSize(String(value)) : undefined
    if (bytes === undefined) return { fails: "must be a size, such as '64KiB', '32MiB' or a number of bytes" }
    if (bytes >= minBytes && bytes <= maxBytes) return { value: bytes }
    return { fails: `must be between ${formatByteSize(minBytes)} and ${formatByteSize(maxBytes)}` }
  })
}

/** A TCP port. Digits in quotes are taken too, so that `${PORT}` can be one. */
export function port(min: 0 | 1 = 1): z.ZodType<number> {
  return scalar('port', (value) => {
    const number = typeof value === 'string' && /^\d{1,5}$/.test(value) ? Number(value) : value
    if (isWholeBetween(number, min, 65535)) return { value: number }
    return { fails: `must be a port number from ${min} to 65535` }
  })
}

function isWholeBetween(value: unknown, min: number, max: number): value is number {
  return Number.isInteger(value) && (value as number) >= min && (value as number) <= max
}

/** A whole number within bounds. */
export function wholeNumber(min: number, max: number): z.ZodType<number> {
  return scalar(`whole number, ${min} to ${max}`, (value) =>
    isWholeBetween(value, min, max) ? { value } : { fails: `must be a whole number from ${min} to ${max}` },
  )
}

/** A number within bounds. */
export function numberBetween(min: number, max: number): z.ZodType<number> {
  return scalar(`number, ${min} to ${max}`, (value) =>
    typeof value === 'number' && value >= min && value <= max
      ? { value }
      : { fails: `must be a number from ${min} to ${max}` },
  )
}

/** A network as `address/bits`, or one address; becomes `address/bits`. */
export function cidr(): z.ZodType<string> {
  return scalar('network', (value) => {
    const [, address = '', bits] = (typeof value === 'string' && /^([0-9A-Fa-f.:]+)(?:\/(\d{1,3}))?$/.exec(value)) || []
    const family = isIP(address)
    const most = family === 6 ? 128 : 32
    if (family !== 0 && Number(bits ?? most) <= most) return { value: `${address}/${bits ?? most}` }
    return { fails: "must be a network such as '10.0.0.0/8', or an address" }
  })
}

/** true or false. */
export function flag(): z.ZodType<boolean> {
  return scalar('true or false', (value) =>
    typeof value === 'boolean' ? { value } : { fails: 'must be true or false, without quotes' },
  )
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const controlCharacter = /[\u0000-\u001f\u007f]/

/** Text of one line that is not empty. */
export function text(maxLength = 256): z.ZodType<string> {
  return scalar('text', (value) => {
    if (typeof value !== 'string') return { fails: notText(value) }
    if (value === '') return { fails: 'must not be empty' }
    if (value.length > maxLength) return { fails: `has ${value.length} characters; at most ${maxLength} are allowed` }
    if (controlCharacter.test(value)) return { fails: 'must be one line without control characters' }
    return { value }
  })
}

/** Text that may be empty, as long as it is bounded. */
export function anyText(maxLength = 4096): z.ZodType<string> {
  return scalar('text', (value) => {
    if (typeof value !== 'string') return { fails: notText(value) }
    return value.length <= maxLength ? { value } : { fails: `has more than ${maxLength} characters` }
  })
}

/** What to say of a value that should be text. */
function notText(value: unknown): string {
  const form = formOf(value)
  if (form === 'nothing') return 'must be given'
  return form === 'number' || form === 'boolean'
    ? `must be text: put this ${form} in quotes`
    : `must be text, not a ${form}`
}

/** One of a few words; the nearest is named in the hint of the problem (issue-problems.ts). */
export function oneOf<const Words extends readonly [string, ...string[]]>(
  words: Words,
): z.ZodEnum<{ [Word in Words[number]]: Word }> {
  return z.enum(words)
}
