import type { Snapshot } from '#config/snapshot.ts'
import { type ListedModel, listModels } from '#route/list-models.ts'
import type { ThreadListener } from './data-messages.ts'
import type { Gateway } from './gateway.ts'

const maxLines = 12

/** What the gateway says of itself when it is ready: what it serves, where, and a line to try it with. */
export function renderBanner(gateway: Gateway, version: string): string {
  const { snapshot, listeners, admin } = gateway
  const models = baseFirst(listModels(snapshot))
  const lines = [`infer-gateway ${version}`, '']
  lines.push(...rows('listening on', listeners.map(urlOf)))
  lines.push(...rows('admin', [`${httpUrl(admin.address, admin.port)}   metrics, health, status page`]))
  lines.push(...rows('data threads', [String(gateway.threads)]))
  lines.push(
    ...rows(
      'models',
      models.map(({ id, parent }) => (parent === undefined ? id : `${id}   adapter of ${parent}`)),
    ),
  )
  lines.push(...rows('endpoints', endpointTexts(snapshot)))
  const [first] = models
  const [listener] = listeners
  if (first !== undefined && listener !== undefined) lines.push('', 'Try it:', `  ${curlLine(listener, first.id)}`)
  return `${lines.join('\n')}\n`
}

/** A command that answers when pasted into a shell. */
export function curlLine(listener: ThreadListener, model: string): string {
  const body = JSON.stringify({ model, messages: [{ role: 'user', content: 'Say hello' }] })
  const insecure = listener.tls ? ' --insecure' : ''
  return `curl${insecure} ${urlOf(listener)}/v1/chat/completions -H 'content-type: application/json' -d '${body.replaceAll("'", "'\\''")}'`
}

function urlOf({ address, port, tls }: ThreadListener): string {
  return httpUrl(address, port, tls ? 'https' : 'http')
}

/** An address one can connect to: the wildcard addresses are this machine. */
function httpUrl(address: string, port: number, scheme = 'http'): string {
  const host = address === '0.0.0.0' || address === '::' ? 'localhost' : address
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`
}

/** Every base model, followed by its adapters. */
function baseFirst(models: readonly ListedModel[]): ListedModel[] {
  const bases = models.filter(({ parent }) => parent === undefined)
  const isListed = new Set(bases.map(({ id }) => id))
  const orphans = models.filter(({ parent }) => parent !== undefined && !isListed.has(parent))
  return [...bases.flatMap((base) => [base, ...models.filter(({ parent }) => parent === base.id)]), ...orphans]
}

function endpointTexts(snapshot: Snapshot): string[] {
  return snapshot.modelServers.flatMap((server) =>
    server.endpoints.map(({ id, engine }) => `${id}   ${engine}, ${server.key}`),
  )
}

/** A labelled list, one item a line, cut at a dozen. */
function rows(label: string, items: readonly string[]): string[] {
  const shown =
    items.length > maxLines ? [...items.slice(0, maxLines - 1), `... and ${items.length - maxLines + 1} more`] : items
  return shown.map((item, index) => `  ${(index === 0 ? label : '').padEnd(13)}${item}`)
}
