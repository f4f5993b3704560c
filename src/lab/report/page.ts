import { chartStyle, escapeMarkup } from '#lab/line-chart.ts'

const style = `:root{color-scheme:light dark;--text:#1f2328;--soft:#57606a;--line:#d0d7de;--back:#fff;--panel:#f6f8fa;
--blind:#b45309;--own:#15803d;--peer:#1d4ed8;--yardstick:#6b7280;--heat:220,60,20}
@media screen and (prefers-color-scheme:dark){:root{--text:#e6edf3;--soft:#9198a1;--line:#30363d;--back:#0d1117;--panel:#161b22;
--blind:#f0a04b;--own:#56d364;--peer:#79b0ff;--yardstick:#9198a1;--heat:255,110,60}}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,-apple-system,'Segoe UI',sans-serif;color:var(--text);background:var(--back);margin:0 auto;max-width:76rem;padding:1.2rem 1rem 3rem}
h1{font-size:1.6rem;line-height:1.25;margin:.4rem 0 .6rem}h2{font-size:1.25rem;margin:2.6rem 0 .3rem}h3{font-size:1.02rem;margin:1.4rem 0 .2rem}
p,li{max-width:46rem}p{margin:.35rem 0 .7rem}.soft,figcaption{color:var(--soft)}ul{padding-left:1.2rem}
code,pre{font:13px/1.5 ui-monospace,Menlo,Consolas,monospace}pre{background:var(--panel);border:1px solid var(--line);border-radius:6px;padding:.8rem;overflow-x:auto}
.short{background:var(--panel);border:1px solid var(--line);border-radius:8px;padding:.7rem 1.1rem;margin:1rem 0}.short p:first-child{margin-top:0}.short p:last-child{margin-bottom:0}
.scroll{overflow-x:auto;margin:.5rem 0 1rem;border:1px solid var(--line);border-radius:6px}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.87rem;width:100%}
th,td{padding:.22rem .6rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
tbody tr:last-child td{border-bottom:0}thead th{color:var(--soft);font-weight:600;background:var(--panel)}
th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:var(--back)}thead th:first-child{background:var(--panel)}
table.prose td,table.prose th{text-align:left;white-space:normal;vertical-align:top}table.prose td:first-child{white-space:nowrap}
td.heat{background:rgba(var(--heat),calc(var(--h)*.62))}td.best{font-weight:700}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));gap:.6rem 1.4rem;margin:.6rem 0}
figure{margin:0;min-width:0}figcaption{font-size:.85rem;margin:.1rem 0 .4rem}
svg{display:block;width:100%;height:auto;max-width:34rem}svg .head{font-size:13px;font-weight:600;fill:var(--text)}
.blind{color:var(--blind)}.own{color:var(--own)}.peer{color:var(--peer)}.yardstick{color:var(--yardstick)}
svg .bar{stroke:currentColor;stroke-width:6;stroke-opacity:.35;stroke-linecap:round;fill:none}svg .dot{fill:currentColor}
svg g text{font-size:12px}svg g.own text{font-weight:700;fill:var(--text)}
.key{display:flex;flex-wrap:wrap;gap:.1rem 1.1rem;margin:.2rem 0 .6rem;padding:0;list-style:none;font-size:.87rem;color:var(--soft)}
.key b{display:inline-block;width:.8rem;height:.8rem;border-radius:50%;margin-right:.35rem;vertical-align:-.06rem;background:currentColor}
details{margin:.5rem 0 1rem}summary{cursor:pointer;color:var(--soft)}nav{display:flex;flex-wrap:wrap;gap:.1rem .9rem;font-size:.9rem}a{color:var(--peer)}
@media print{body{max-width:none;font-size:11px;padding:0}.scroll{overflow:visible;border:0}table{font-size:8.5px}th,td{padding:.1rem .3rem}figure,tr,.short{break-inside:avoid}h2,h3{break-after:avoid}nav{display:none}svg{max-width:24rem}}`

/** A page in one file: no script, no font, nothing that is loaded. `body` is markup. */
export function page(title: string, body: readonly string[]): string {
  return [
    '<!doctype html>',
    '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">',
    `<title>${escapeMarkup(title)}</title><style>${chartStyle}\n${style}</style></head><body>`,
    `<h1>${escapeMarkup(title)}</h1>`,
    ...body,
    '</body></html>',
    '',
  ].join('\n')
}

/** A cell of a table: text, or text with attributes of its own. */
export type PageCell = string | { readonly text: string; readonly attributes: string }

/** A table whose first row is its head. `hints` explain the heads when they are pointed at. */
export function pageTable(
  rows: readonly (readonly PageCell[])[],
  { hints = [], isProse = false }: { readonly hints?: readonly string[]; readonly isProse?: boolean } = {},
): string {
  const [head = [], ...body] = rows
  const cell = (tag: string, value: PageCell, hint = ''): string => {
    const { text, attributes } = typeof value === 'string' ? { text: value, attributes: '' } : value
    const title = hint === '' ? '' : ` title="${escapeMarkup(hint)}"`
    return `<${tag}${attributes === '' ? '' : ` ${attributes}`}${title}>${escapeMarkup(text)}</${tag}>`
  }
  const line = (tag: string, row: readonly PageCell[], texts: readonly string[] = []): string =>
    `<tr>${row.map((value, i) => cell(tag, value, texts[i])).join('')}</tr>`
  return [
    `<div class="scroll"><table${isProse ? ' class="prose"' : ''}><thead>${line('th', head, hints)}</thead><tbody>`,
    ...body.map((row) => line('td', row)),
    '</tbody></table></div>',
  ].join('\n')
}

export function paragraph(text: string, kind = ''): string {
  return `<p${kind === '' ? '' : ` class="${kind}"`}>${escapeMarkup(text)}</p>`
}

export function figure(picture: string, caption: string): string {
  return `<figure>${picture}<figcaption>${escapeMarkup(caption)}</figcaption></figure>`
}

/** A name for a link inside the page. */
export function anchorOf(text: string): string {
  return text.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')
}

/** Names of lines with their colours. */
export function colourKey(names: readonly { readonly name: string; readonly color: string }[]): string {
  const items = names.map(({ name, color }) => `<li><b style="color:${color}"></b>${escapeMarkup(name)}</li>`)
  return `<ul class="key">${items.join('')}</ul>`
}

const kindWords = {
  own: 'this gateway',
  peer: 'published formulas of peers',
  blind: 'rules that know nothing of prompts',
  yardstick: 'yardsticks that no gateway can be',
} as const

/** What the colours of arms mean. */
export function kindKey(kinds: ReadonlySet<string>): string {
  const items = Object.entries(kindWords)
    .filter(([kind]) => kinds.has(kind))
    .map(([kind, words]) => `<li><b class="${kind}"></b>${words}</li>`)
  return `<ul class="key">${items.join('')}</ul>`
}
