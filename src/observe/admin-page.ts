import { createHash } from 'node:crypto'
import { adminPageScript, adminPageStyle } from './admin-page-assets.ts'
import { type Html, html } from './html.ts'
import type {
  EndpointReport,
  ListenerReport,
  ModelReport,
  ReloadReport,
  StatusReport,
  ThreadReport,
} from './status-report.ts'

const sourceHash = (source: string): string => `'sha256-${createHash('sha256').update(source).digest('base64')}'`

/** Content-Security-Policy of the page: only its own style and script, and only this server to talk to. */
export const adminPagePolicy = [
  "default-src 'none'",
  `style-src ${sourceHash(adminPageStyle)}`,
  `script-src ${sourceHash(adminPageScript)}`,
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** Rows that a table shows; the rest is in /status. */
const maxRows = 500

/** The status of the gateway as one page that needs nothing else and renews itself every two seconds. */
export function renderAdminPage(status: StatusReport): string {
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>infer-gateway</title>
<style>${{ markup: adminPageStyle }}</style>
</head>
<body>
<main>
${[renderHeader(status), renderReload(status.reload), renderModels(status.models), renderEndpoints(status.endpoints)]}
</main>
<footer><a href="/status">status as JSON</a> <a href="/metrics">metrics</a> <a href="/readyz">readiness</a></footer>
<script>${{ markup: adminPageScript }}</script>
</body>
</html>
`
  return page.markup
}

function renderHeader(status: StatusReport): Html {
  const { ready, reason } = status.readiness
  const connections = status.threads.reduce((sum, thread) => sum + thread.connections, 0)
  return html`<header>
<h1>infer-gateway <small>${status.version}</small></h1>
<p class="badge ${ready ? 'good' : 'bad'}">${reason}</p>
</header>
<dl>
<div><dt>up</dt><dd>${durationText(status.uptimeMs)}</dd></div>
<div><dt>configuration</dt><dd>version ${status.snapshotVersion}</dd></div>
<div><dt>data threads</dt><dd>${threadsText(status.threads)}</dd></div>
<div><dt>connections</dt><dd>${connections}</dd></div>
${status.listeners.map(renderListener)}
</dl>`
}

/** How many data threads there are, and which of them do not serve now. */
function threadsText(threads: readonly ThreadReport[]): string {
  const others = threads.filter(({ state }) => state !== 'serving').map(({ name, state }) => `${name} ${state}`)
  return [threads.length, ...others].join(', ')
}

function renderListener({ name, url }: ListenerReport): Html {
  return html`<div><dt>listener ${name}</dt><dd>${url}</dd></div>`
}

function renderReload(reload: ReloadReport | undefined): Html {
  if (reload === undefined || reload.ok) return html``
  const rows = reload.problems.slice(0, maxRows).map(({ file, line, message }) => {
    const place = line === undefined ? file : `${file}:${line}`
    return html`<li><code>${place}</code> ${message}</li>`
  })
  return html`<section class="alarm"><h2>The last change of the configuration was refused</h2>
<p>The one before it stays in force. Since ${timeText(reload.atWallMs)}.</p><ul>${rows}</ul></section>`
}

function renderModels(models: readonly ModelReport[]): Html {
  const rows = models.slice(0, maxRows).map(
    ({ name, route, modelServers }) =>
      html`<tr><td><code>${name}</code></td><td>${route}</td><td>${modelServers.join(', ')}</td></tr>
`,
  )
  return html`<section><h2>Models <small>${models.length}</small></h2><div class="scroll"><table>
<thead><tr><th>name</th><th>route</th><th>model servers</th></tr></thead>
<tbody>${rows}</tbody></table></div></section>`
}

function renderEndpoints(endpoints: readonly EndpointReport[]): Html {
  const ready = endpoints.filter(({ health }) => health === 'ready').length
  const rest = endpoints.length - maxRows
  return html`<section><h2>Endpoints <small>${ready} of ${endpoints.length} ready</small></h2><div class="scroll"><table>
<thead><tr><th>endpoint</th><th>model server</th><th>engine</th><th>health</th>
<th class="n" title="requests of this gateway now on the endpoint">in flight</th><th class="n">running</th>
<th class="n">waiting</th><th class="n">KV cache</th><th class="n" title="time to first token">TTFT</th>
<th class="n" title="time per output token">TPOT</th><th class="n">errors</th><th class="n">scraped</th><th>adapters</th></tr></thead>
<tbody>${endpoints.slice(0, maxRows).map(renderEndpoint)}</tbody></table></div>
${rest > 0 ? html`<p>${rest} more in <a href="/status">/status</a></p>` : html``}</section>`
}

function renderEndpoint(report: EndpointReport): Html {
  const tone = { ready: 'good', unready: 'bad', unknown: 'dim' }[report.health]
  const age = report.scrapeAgeMs === undefined ? '' : `${durationText(report.scrapeAgeMs)} ago`
  return html`<tr><td><code>${report.endpoint}</code></td><td>${report.modelServer}</td><td>${report.engine}</td>
<td><span class="badge ${tone}" title="${report.scrapeError ?? ''}">${report.health}</span>${renderState(report)}${renderEvents(report)}</td>
<td class="n">${report.inFlight}</td><td class="n">${countText(report.running)}</td><td class="n">${countText(report.waiting)}</td>
<td class="n">${renderKvUse(report.kvUse)}</td><td class="n">${msText(report.ttftMs)}</td><td class="n">${msText(report.tpotMs)}</td>
<td class="n">${report.consecutiveErrors}</td><td class="n">${age}</td><td>${report.adapters.join(', ')}</td></tr>
`
}

function renderEvents({ kvEvents }: EndpointReport): Html {
  if (kvEvents === undefined) return html``
  const { state, reason, blocks, silentMs } = kvEvents
  const tone = state === 'live' ? 'good' : state === 'partial' ? 'dim' : 'bad'
  const title = `${blocks} blocks known, last heard of ${durationText(silentMs)} ago: ${reason}`
  return html` <span class="badge ${tone}" title="${title}">KV events: ${state}</span>`
}

/** Only what is out of the ordinary. */
function renderState({ state, ejectedForMs, ejections }: EndpointReport): Html {
  if (state === 'closed') return html``
  const rest = ejectedForMs === undefined ? '' : ` for ${durationText(ejectedForMs)}`
  const { streak, ratio, probe } = ejections
  const title = `ejected ${streak + ratio + probe} times: ${streak} for failures in a row, ${ratio} for too few successes, ${probe} by a failed probe`
  return html` <span class="badge ${state === 'slow-start' ? 'dim' : 'bad'}" title="${title}">${state}${rest}</span>`
}

function renderKvUse(kvUse: number | undefined): Html {
  if (kvUse === undefined) return html``
  const percent = Math.round(kvUse * 100)
  return html`<meter min="0" max="100" high="85" value="${percent}"></meter> ${percent} %`
}

const countText = (value: number | undefined): string => (value === undefined ? '' : String(value))

const msText = (value: number | undefined): string =>
  value === undefined ? '' : `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`

const timeText = (wallMs: number): string => `${new Date(wallMs).toISOString().slice(0, 19).replace('T', ' ')} UTC`

/** A duration in its two largest units that matter: 340 ms, 12 s, 3 min 20 s, 5 h 2 min, 9 d 4 h. */
function durationText(durationMs: number): string {
  if (durationMs < 1000) return `${Math.max(0, Math.round(durationMs))} ms`
  const seconds = Math.floor(durationMs / 1000)
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h`
}
