import { type RefusalRow, refusals } from '#core/refusal.ts'

const introduction = `# Errors

What the gateway itself answers when it cannot serve a request. Errors of model servers are not listed here: they pass
through with their status and body unchanged.

Every refusal carries its reason in the \`x-infer-reason\` header, and the request's id in \`x-request-id\`. The reason is
also the label of \`infer_gateway_refusals_total\`, and \`reason\` in the access log. \`retry-after\` is set where waiting
helps. An answer without \`x-infer-reason\` was not made by the gateway.

The body is in the shape of the API that was called. OpenAI (every path but those of Anthropic):

\`\`\`json
{"error":{"message":"...","type":"invalid_request_error","param":"model","code":"model_not_found"}}
\`\`\`

Anthropic (\`/v1/messages\`, \`/v1/messages/count_tokens\`):

\`\`\`json
{"type":"error","error":{"type":"not_found_error","message":"..."}}
\`\`\`

A stream that has begun has sent its status already: it ends with an error event that holds the same object.

*retry* says whether the same request may succeed later or elsewhere without being changed. *gRPC* is the status code
for callers that speak gRPC.`

/** The reference page of the errors, made from the refusal table. */
export function renderErrorReference(): string {
  const head =
    '| reason | HTTP | gRPC | OpenAI type, code | Anthropic type | retry | what has happened | what to do |\n|---|---|---|---|---|---|---|---|'
  const rows = Object.entries<RefusalRow>(refusals).map(([reason, row]) => renderRow(reason, row))
  return `${introduction}\n\n${[head, ...rows].join('\n')}\n`
}

const cell = (text: string): string => text.replace(/[\\|]/g, '\\$&').replace(/\n/g, ' ')

function renderRow(reason: string, row: RefusalRow): string {
  const cells = [
    `\`${reason}\``,
    String(row.http),
    String(row.grpc),
    `\`${row.type}\`, \`${row.code}\``,
    `\`${row.anthropicType}\``,
    row.retry ? 'yes' : 'no',
    cell(row.means),
    cell(row.advice),
  ]
  return `| ${cells.join(' | ')} |`
}
