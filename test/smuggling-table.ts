import { refusals } from '#core/refusal.ts'
import { chatPath, inner, type RequestCase, requestCases } from './smuggling.ts'
import { type ResponseCase, responseCases } from './smuggling-responses.ts'

const shownBytes = 130

/** The tables of docs/reference/http1.md, as Markdown. */
export function renderSmugglingTables(): string {
  const groups = [...new Set(requestCases.map(({ group }) => group))]
  const requests = groups.map((group) => {
    const rows = requestCases.filter((one) => one.group === group)
    return [
      `### Requests: ${group}`,
      '',
      ...table(rows.map((one) => [one.name, one.bytes, requestAnswer(one), one.why])),
    ].join('\n')
  })
  const answers = table(responseCases.map((one) => [one.name, one.bytes, responseAnswers[one.answer], one.why]))
  return [...requests, ['### Answers of upstreams', '', ...answers].join('\n')].join('\n\n')
}

function requestAnswer({ answer }: RequestCase): string {
  if (answer === 'served') return 'one request; the next is found'
  if (answer === 'ends') return 'one request; the connection ends'
  return `${refusals[answer].http} \`${answer}\`; the connection ends`
}

const responseAnswers: Readonly<Record<ResponseCase['answer'], string>> = {
  reused: 'passed on; the connection is used again',
  dropped: 'passed on; the connection is dropped',
  refused: '502 `upstream-malformed`, after what retries the policy allows',
  cut: 'cut: the client sees an incomplete answer, or an error event',
}

function table(rows: readonly (readonly [name: string, bytes: string, answer: string, why: string])[]): string[] {
  const lines = rows.map(([name, bytes, answer, why]) => `| ${name} | ${code(bytes)} | ${answer} | ${cell(why)} |`)
  return ['| case | bytes | what the gateway does | why |', '| --- | --- | --- | --- |', ...lines]
}

/** Bytes as a code span in a cell. */
function code(bytes: string): string {
  const readable = bytes.replaceAll(inner, '«request»').replaceAll(chatPath, '/path')
  const text = JSON.stringify(shortened(readable)).slice(1, -1).replaceAll('\\"', '"').replaceAll('|', '\\|')
  const visible = text.replace(/[\x7f-\uffff]/g, (char) =>
    '…«»'.includes(char) ? char : `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  return `\`\` ${visible} \`\``
}

function shortened(bytes: string): string {
  return bytes.length <= shownBytes ? bytes : `${bytes.slice(0, shownBytes)}…`
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}
