import type { BodyProblem } from '#sim/api/body.ts'

/** One entry of a FastAPI validation error. */
export interface PydanticError {
  readonly type: string
  readonly loc: readonly (string | number)[]
  readonly msg: string
  readonly input?: unknown
  readonly ctx?: unknown
}

/** What FastAPI finds wrong with a body, entry by entry. */
export function pydanticEntries(problem: BodyProblem): readonly PydanticError[] {
  if (problem.kind === 'media-type') {
    const msg = 'Input should be a valid dictionary or object to extract fields from'
    return [{ type: 'model_attributes_type', loc: ['body'], msg }]
  }
  if (problem.kind === 'empty') return [{ type: 'missing', loc: ['body'], msg: 'Field required', input: null }]
  if (problem.kind === 'json') {
    const ctx = { error: problem.reason }
    return [{ type: 'json_invalid', loc: ['body', problem.position], msg: 'JSON decode error', input: {}, ctx }]
  }
  return problem.fields.map(({ type, field, message }) => ({
    type,
    loc: field === '' ? ['body'] : ['body', field],
    msg: message,
  }))
}

/** The same as one text, as Python prints the exception. */
export function pydanticErrors(problem: BodyProblem): string {
  const entries = pydanticEntries(problem)
  const noun = entries.length === 1 ? 'validation error' : 'validation errors'
  const lines = entries.map(({ type, loc, msg }) => {
    const place = loc.map((part) => (typeof part === 'string' ? `'${part}'` : String(part))).join(', ')
    return `  {'type': '${type}', 'loc': (${place}${loc.length === 1 ? ',' : ''}), 'msg': '${msg}'}`
  })
  return `${entries.length} ${noun}:\n${lines.join('\n')}`
}
