/** Style of the admin page: system fonts, both colour schemes, wide tables scroll by themselves. */
export const adminPageStyle = `
:root { color-scheme: light dark; --line: #8884; --dim: #777; --good: #18794e; --bad: #c62a2f; --tint: #8881; }
@media (prefers-color-scheme: dark) { :root { --dim: #999; --good: #4cc38a; --bad: #ff6369; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 90rem; padding: 1.5rem; font: 15px/1.5 system-ui, sans-serif; }
header { display: flex; align-items: center; gap: 1rem; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; } small { color: var(--dim); font-weight: normal; }
code { font: .92em ui-monospace, monospace; }
.badge { margin: 0; padding: 0 .6em; border: 1px solid; border-radius: 1em; font-size: .87rem; white-space: nowrap; }
.good { color: var(--good); } .bad { color: var(--bad); } .dim { color: var(--dim); }
dl { display: flex; flex-wrap: wrap; gap: .5rem 2.5rem; margin: 1rem 0 0; } dt { color: var(--dim); font-size: .87rem; } dd { margin: 0; }
.alarm { border-left: 4px solid var(--bad); background: var(--tint); padding: .2rem 1rem; margin-top: 1.5rem; } .alarm h2 { margin-top: .6rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--dim); font-weight: normal; font-size: .87rem; } .n { text-align: right; font-variant-numeric: tabular-nums; }
meter { width: 4rem; vertical-align: middle; } footer { margin-top: 2rem; color: var(--dim); } footer a { margin-right: 1rem; color: inherit; }
main.lost { opacity: .45; }
`

/** Renews the page without a flicker or a lost scroll position; pales it while the gateway does not answer. */
export const adminPageScript = `
const renew = async () => {
  const main = document.querySelector('main')
  try {
    const text = await (await fetch('/', { cache: 'no-store', signal: AbortSignal.timeout(5000) })).text()
    const next = new DOMParser().parseFromString(text, 'text/html').querySelector('main')
    if (next) main.replaceWith(document.adoptNode(next))
  } catch { main.classList.add('lost') }
  setTimeout(renew, 2000)
}
setTimeout(renew, 2000)
`
