// The lines of one app, of several apps, or of a session.
import {useEffect, useLayoutEffect, useRef} from './vendor/hooks.mjs'
import {useSignal} from './vendor/signals.mjs'
import {html, textOf, linkTo, keyOfLink} from './line.js'
import {root} from './api.js'
import {Store, contains, isError, isLine} from './store.js'
import {Tail} from './tail.js'
import {List, follow} from './list.js'
import {Tools, filtersOf} from './tools.js'
import {Chart} from './chart.js'
import {now, lines, count} from './format.js'

export function App({source, go}) {
  const filters = useSignal(filtersOf(new URL(location)))
  const store = useRef(null)
  const tail = useSignal(null)
  const search = useSignal('')
  const told = useSignal('')
  const box = useRef()
  store.current ??= new Store()
  const s = store.current

  const begin = wanted => {
    tail.peek()?.stop()
    s.clear()
    const t = new Tail(source, source.session ? {} : filters.peek(), s, wanted)
    tail.value = t
    t.run()
  }
  useLayoutEffect(() => { // so that the request is sent before anything is drawn
    document.title = source.title + ' · logger'
    begin(keyOfLink(location.hash))
    return () => tail.peek()?.stop()
  }, [])

  // filter changes filters, and starts again with them.
  const filter = changes => {
    const next = {...filters.value, ...changes}
    for (const name in next) if (!next[name]) delete next[name]
    filters.value = next
    const {url} = source
    for (const [name, value] of Object.entries(next)) url.searchParams.append(name, value)
    history.replaceState(null, '', url)
    begin('')
  }
  const say = text => {
    told.value = text
    setTimeout(() => {
      if (told.value === text) told.value = ''
    }, 4000)
  }
  // show scrolls an item into view.
  const show = number => {
    s.following = false
    s.current = number
    s.goal = number
    s.changed()
  }
  const next = (passes, step, what) => {
    const at = s.current !== null && s.current >= s.base ? s.current + step : step > 0 ? s.base : s.end - 1
    const number = s.find(passes, at, step)
    if (number < 0) return say('No ' + what + (step > 0 ? ' below' : ' above'))
    show(number)
  }
  const searchOn = step => search.value && next(contains(search.value), step, 'match')
  const toEnd = () => (tail.value.state.value.name === 'held' ? begin('') : follow(s))
  const hold = () => {
    if (!s.following) return toEnd()
    s.following = false
    s.changed()
  }
  const select = (event, number) => {
    event.preventDefault()
    const from = event.shiftKey && s.selected ? s.selected[0] : number
    s.selected = [Math.min(from, number), Math.max(from, number)]
    s.following = false
    const url = new URL(location)
    url.hash = linkTo(s.item(number))
    history.replaceState(null, '', url)
    s.changed()
  }
  const unselect = () => {
    s.selected = null
    const url = new URL(location)
    url.hash = ''
    history.replaceState(null, '', url)
    s.changed()
  }
  const copy = (text, what) => put(text).then(() => say(what + ' copied'), () => say('The browser does not let this page copy'))
  const copyLines = () => {
    const chosen = []
    for (let n = s.selected[0]; n <= s.selected[1]; n++) chosen.push(textOf(s.item(n)))
    copy(chosen.join('\n') + '\n', lines(chosen.length))
  }
  const save = async format => {
    try {
      say('Reading …')
      const blob = source.session ? held(format) : await (await source.ask('logs', {...filters.value, lines: -1, format})).blob()
      const link = document.createElement('a')
      link.href = URL.createObjectURL(blob)
      link.download = (source.session ? 'session' : source.apps.join('+').replaceAll('*', '_')) + (format === 'text' ? '.log' : '.ndjson')
      link.click()
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
      say('Saved')
    } catch (err) {
      say(err.message)
    }
  }
  // held returns what the view holds, as a file. A session has no other way to its lines.
  const held = format => {
    const record = ({key, breaks, height, measured, object, ...rest}) => JSON.stringify(rest)
    return new Blob(s.items.filter(isLine).map(item => (format === 'text' ? textOf(item) : record(item)) + '\n'))
  }

  useEffect(() => {
    const key = event => {
      if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) {
        if ((event.ctrlKey || event.metaKey) && event.key === 'c' && s.selected && document.getSelection().isCollapsed) copyLines()
        return
      }
      if (event.key === ' ' && /^(BUTTON|A|SUMMARY)$/.test(event.target.tagName)) return
      const act = {
        '/': () => box.current.focus(),
        n: () => searchOn(1),
        N: () => searchOn(-1),
        e: () => next(isError, 1, 'error'),
        E: () => next(isError, -1, 'error'),
        g: () => show(s.base),
        G: toEnd,
        ' ': hold,
        Escape: unselect,
      }[event.key]
      if (!act) return
      event.preventDefault()
      act()
    }
    addEventListener('keydown', key)
    return () => removeEventListener('keydown', key)
  }, [])

  const searchKey = event => {
    if (event.key === 'Enter') searchOn(event.shiftKey ? -1 : 1)
    else if (event.key === 'Escape') {
      search.value = ''
      event.target.blur()
    } else return
    event.preventDefault()
  }
  const t = tail.value
  const several = source.several || s.several.value
  const place = source.session ? html`<span class="home">logger</span>` : html`<a class="home" href=${root} onClick=${e => go(e, null)} title="All apps">logger</a>`
  return html`<header class="bar">
      ${place}<span class="slash">/</span><h1 title=${source.title}>${source.title}</h1>
      ${t && html`<${State} tail=${t} store=${s} />`}
      <span class="grow"></span>
      <input ref=${box} type="search" class="find" placeholder="Find in view  /" aria-label="Find in view" value=${search.value} onInput=${e => (search.value = e.target.value)} onKeyDown=${searchKey} />
      <button onClick=${() => searchOn(-1)} disabled=${!search.value} aria-label="Match above" title="Match above (N)">↑</button>
      <button onClick=${() => searchOn(1)} disabled=${!search.value} aria-label="Match below" title="Match below (n)">↓</button>
    </header>
    <${Tools} source=${source} several=${several} filters=${filters.value} filter=${filter} save=${save} />
    ${!source.session && html`<${Chart} source=${source} filters=${filters.value} store=${s} choose=${(since, until) => filter({since, until})} />`}
    <main class="log">
      ${t && html`<${List} store=${s} tail=${t} search=${search.value.toLowerCase()} select=${select} several=${several} />`}
      ${t && html`<${Below} store=${s} tail=${t} toEnd=${toEnd} copyLines=${copyLines} copyLink=${() => copy(location.href, 'Link')} unselect=${unselect} again=${() => begin('')} />`}
      <div class="told" role="status">${told.value}</div>
    </main>`
}

// put copies a text. On plain HTTP, pages can only copy the selection.
async function put(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text)
  const area = document.createElement('textarea')
  area.value = text
  area.className = 'away'
  document.body.append(area)
  area.select()
  const done = document.execCommand('copy')
  area.remove()
  if (!done) throw new Error('refused')
}

// State shows the state of the stream.
function State({tail, store}) {
  const state = tail.state.value
  store.changes.value // whether it follows may have changed
  const seconds = state.again ? Math.max(0, Math.ceil((state.again - now.value) / 1000)) : 0
  const text = {
    connecting: 'Connecting',
    live: store.following ? 'Live' : 'Live, view held',
    lost: (state.message || 'Connection lost') + (seconds > 0 ? ', trying again in ' + seconds + ' s' : ', trying again'),
    held: 'View full, held',
    ended: 'Ended',
    refused: state.message,
  }[state.name]
  return html`<span class="state" role="status"><span class=${'dot ' + state.name}></span>${text}${store.skipped > 0 && html`<span class="skipping">${lines(store.skipped)} skipped</span>`}</span>`
}

// Below stands over the end of the list: the way back to the newest line, and what to do with the
// selected lines.
function Below({store, tail, toEnd, copyLines, copyLink, unselect, again}) {
  store.changes.value
  const state = tail.state.value.name
  return html`<div class="below">
    ${store.selected && html`<div class="pill"><span>${lines(store.selected[1] - store.selected[0] + 1)}</span>
      <button onClick=${copyLines}>Copy</button><button onClick=${copyLink}>Copy link</button><button onClick=${unselect} aria-label="Unselect" title="Unselect (Esc)">✕</button></div>`}
    ${tail.missing && html`<div class="pill warn"><span>The line of this link is no longer kept, or does not pass the filters</span><button onClick=${() => { tail.missing = false; store.changed() }} aria-label="Close">✕</button></div>`}
    ${state === 'refused' && html`<div class="pill warn"><span>${tail.state.value.message}</span><button onClick=${again}>Try again</button></div>`}
    ${!store.following && html`<button class="pill fresh" onClick=${toEnd}>${state === 'held' ? 'Newest lines' : store.fresh > 0 ? lines(store.fresh).replace(' line', ' new line') : 'Newest line'} ↓</button>`}
  </div>`
}
