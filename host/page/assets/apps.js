// The list of apps.
import {useEffect, useRef} from './vendor/hooks.mjs'
import {useSignal} from './vendor/signals.mjs'
import {html} from './line.js'
import {apps} from './api.js'
import {Source} from './source.js'
import {ago, count, now} from './format.js'

// every is the time between an answer and the next request for the list, in milliseconds.
const every = 3000

// most is the number of apps shown; the filter finds the others.
const most = 500

// matcher returns a test of names: whether they contain a text, or match a pattern with *.
function matcher(text) {
  if (!text.includes('*')) return name => name.includes(text)
  const parts = text.split('*')
  const last = parts.pop()
  return name => {
    let at = 0
    for (const [i, part] of parts.entries()) {
      const found = i === 0 ? (name.startsWith(part) ? 0 : -1) : name.indexOf(part, at)
      if (found < 0) return false
      at = found + part.length
    }
    return name.length - last.length >= at && name.endsWith(last)
  }
}

export function Apps({go}) {
  const all = useSignal(null)
  const rates = useRef(new Map())
  const failed = useSignal('')
  const filter = useSignal('')
  const chosen = useSignal([]) // names of apps
  const box = useRef()
  now.value // draws ages again each second
  useEffect(() => {
    document.title = 'logger'
    box.current.focus()
    const abort = new AbortController()
    let timer
    const ask = async () => {
      try {
        if (!document.hidden) {
          const list = await apps(abort.signal)
          rates.current = measure(rates.current, list)
          all.value = list
          failed.value = ''
        }
      } catch (err) {
        if (abort.signal.aborted) return
        failed.value = err.message
      }
      if (!abort.signal.aborted) timer = setTimeout(ask, every)
    }
    ask()
    const slash = event => {
      if (event.key !== '/' || event.target === box.current) return
      event.preventDefault()
      box.current.focus()
    }
    addEventListener('keydown', slash)
    return () => {
      abort.abort()
      clearTimeout(timer)
      removeEventListener('keydown', slash)
    }
  }, [])
  const wanted = filter.value.trim().toLowerCase()
  const passes = matcher(wanted)
  const passing = (all.value ?? []).filter(a => passes(a.app.toLowerCase()))
  const pattern = wanted.includes('*')
  const choose = (name, on) => (chosen.value = on ? [...chosen.value, name] : chosen.value.filter(n => n !== name))
  const follow = (event, names) => go(event, new Source(names))
  const enter = event => {
    if (event.key !== 'Enter') return
    if (pattern) follow(event, [filter.value.trim()])
    else if (passing.length > 0) follow(event, [passing[0].app])
  }
  const link = names => html`<a class="button" href=${new Source(names).url} onClick=${e => follow(e, names)}>Follow ${names.length === 1 ? names[0] : names.length + ' apps'}</a>`
  return html`<header class="bar"><h1>logger</h1>
      <input ref=${box} type="search" class="find" placeholder="Filter apps, or a pattern: shop-*" aria-label="Filter apps" value=${filter.value} onInput=${e => (filter.value = e.target.value)} onKeyDown=${enter} />
      ${pattern && link([filter.value.trim()])}
      ${!pattern && chosen.value.length > 0 && html`${link(chosen.value)}<button onClick=${() => (chosen.value = [])}>Clear</button>`}
      <span class="grow"></span>
      <span class="state" role="status">${failed.value ? html`<span class="dot lost"></span>${failed.value}` : all.value ? count(all.value.length) + (all.value.length === 1 ? ' app' : ' apps') : 'Reading …'}</span></header>
    <main class="apps">
      ${all.value && all.value.length === 0 && html`<p class="empty">No app has a line yet. <code>logger doctor</code> tells why, if some should have.</p>`}
      ${passing.length > 0 && html`<table>
        <thead><tr><th scope="col" class="choice"><span class="unseen">Chosen</span></th><th scope="col">App</th><th scope="col" class="number">Lines kept</th><th scope="col" class="number">Lines/s</th><th scope="col" class="number">Last line</th></tr></thead>
        <tbody>${passing.slice(0, most).map(a => html`<tr key=${a.app}>
          <td class="choice"><input type="checkbox" aria-label=${'Choose ' + a.app} checked=${chosen.value.includes(a.app)} onChange=${e => choose(a.app, e.target.checked)} /></td>
          <td><a href=${new Source([a.app]).url} onClick=${e => follow(e, [a.app])}>${a.app}</a></td>
          <td class="number">${count(a.entries)}</td>
          <td class="number">${rate(rates.current.get(a.app))}</td>
          <td class="number">${a.newest ? ago(Date.parse(a.newest)) : ''}</td></tr>`)}</tbody></table>`}
      ${passing.length > most && html`<p class="empty">${count(passing.length - most)} more: type a part of a name.</p>`}
      ${all.value && all.value.length > 0 && passing.length === 0 && html`<p class="empty">No app has “${filter.value.trim()}” in its name.</p>`}
    </main>`
}

// measure computes how many lines a second each app got since the last answer.
function measure(before, list) {
  const at = Date.now()
  const now = new Map()
  for (const {app, books} of list) {
    const was = before.get(app)
    const came = was ? books.stored - was.stored : 0
    now.set(app, {at, stored: books.stored, rate: was && came >= 0 ? (came * 1000) / (at - was.at) : undefined})
  }
  return now
}

function rate(measured) {
  if (measured?.rate === undefined) return ''
  return measured.rate >= 10 || measured.rate === 0 ? count(Math.round(measured.rate)) : measured.rate.toFixed(1)
}
