// The list of lines. The document contains only those in sight and some around them.
import {useRef, useLayoutEffect, useEffect} from './vendor/hooks.mjs'
import {html, Line, Gap, Skipped, columns, shownColumns, json} from './line.js'
import {wrap, zone, density, now, lines as lineCount} from './format.js'
import {isLine} from './store.js'

// around is the number of items beyond those in sight that are drawn.
const around = 12

// mostSelected is the number of items that stay in the document for a selection that extends out of
// sight.
const mostSelected = 3000

// headHeight is in pixels, as in page.css.
const headHeight = 28

// follow scrolls to the newest line, and stays there.
export function follow(store) {
  store.following = true
  store.fresh = 0
  store.changed()
}

// List draws the store's items. While the store follows, the view stays at the newest line.
// Otherwise only the reader moves the view: the anchor is the item at its top, and stays there
// whatever comes.
export function List({store, tail, search, select, several}) {
  store.changes.value // draws the list again when the store changes
  if (zone.value === 'relative') now.value
  const view = useRef()
  const rows = useRef()
  const ruler = useRef()
  const state = useRef({top: 0, height: 800, columns: 0, selecting: false, pressed: false, first: 0, end: 0}).current
  const wrapped = wrap.value === 'on'
  store.layOut(wrapped ? state.columns : 0, density.value)

  // drop keeps the view where it is now.
  const drop = () => {
    const y = view.current.scrollTop - headHeight
    const number = store.at(Math.max(0, y))
    store.anchor = {number, within: y - store.offset(number)}
    state.top = view.current.scrollTop
  }
  const empty = store.items.length === 0
  let top = 0
  if (empty || store.following) {
    store.anchor = null
    top = Math.max(0, store.height - state.height)
  } else {
    if (view.current && (!store.anchor || Math.abs(view.current.scrollTop - state.top) >= 1)) drop()
    if (store.goal !== undefined) store.anchor = {number: store.goal, within: -Math.round(state.height / 3)}
    store.goal = undefined
    if (store.anchor.number < store.base) store.anchor = {number: store.base, within: 0}
    if (store.anchor.number >= store.end) store.anchor = {number: store.end - 1, within: 0}
    top = store.offset(store.anchor.number) + store.anchor.within
  }
  let first = empty ? store.base : Math.max(store.base, store.at(Math.max(0, top)) - around)
  let end = empty ? store.base : Math.min(store.end, store.at(Math.max(0, top + state.height)) + 1 + around)
  if (state.selecting) {
    if (end - state.first < mostSelected) first = Math.max(store.base, Math.min(first, state.first))
    if (state.end - first < mostSelected) end = Math.min(store.end, Math.max(end, state.end))
  }
  state.first = first
  state.end = end
  let skippedInSight = null

  useLayoutEffect(() => {
    const el = view.current
    let changed = false
    for (const row of rows.current.children) {
      const number = Number(row.dataset.number)
      const item = store.item(number)
      if (!item || item.measured) continue
      const height = row.getBoundingClientRect().height
      changed ||= height !== item.height
      store.measure(number, height)
    }
    rows.current.parentNode.style.height = store.height + 'px'
    rows.current.style.transform = `translateY(${empty ? 0 : store.offset(first)}px)`
    const {anchor} = store
    const y = anchor ? store.offset(anchor.number) + anchor.within + headHeight : el.scrollHeight - el.clientHeight
    if (Math.abs(el.scrollTop - y) >= 1) el.scrollTop = y
    state.top = el.scrollTop
    if (changed) store.changed()
    if (anchor && skippedInSight) tail.loadSkipped(skippedInSight)
    else if (anchor && el.scrollTop < 800) tail.loadOlder()
  })

  useEffect(() => {
    const el = view.current
    const fit = () => {
      if (!ruler.current) return // the list has just gone
      state.height = el.clientHeight
      const row = ruler.current.parentNode
      state.columns = Math.max(10, Math.floor(row.clientWidth / ruler.current.getBoundingClientRect().width))
      for (const item of store.items) item.measured = false
      store.changed()
    }
    const observer = new ResizeObserver(fit)
    observer.observe(el)
    const selection = () => {
      const chosen = document.getSelection()
      state.selecting = !chosen.isCollapsed && el.contains(chosen.anchorNode)
      if (!state.selecting || !store.following) return
      store.following = false
      store.changed()
    }
    document.addEventListener('selectionchange', selection)
    return () => {
      observer.disconnect()
      document.removeEventListener('selectionchange', selection)
    }
  }, [store])

  useEffect(() => {
    for (const item of store.items) item.measured = false
    store.changed()
  }, [wrapped, density.value, columns.value, json.value])

  const scroll = () => {
    const el = view.current
    if (Math.abs(el.scrollTop - state.top) < 1) return // the view moved itself, not the reader
    const atEnd = el.scrollHeight - el.scrollTop - el.clientHeight < 4
    if (atEnd && !state.selecting && !state.pressed && tail.state.value.name !== 'held') return follow(store)
    store.following = false
    drop()
    store.changed()
  }
  // While a button is down, the user may be about to select: the line must not move away.
  const press = event => {
    if (event.button !== 0 || !store.following) return
    state.pressed = true
    store.following = false
    const release = () => setTimeout(() => {
      state.pressed = false
      if (!state.selecting && !store.selected) follow(store)
    })
    addEventListener('pointerup', release, {once: true})
  }

  const drawn = []
  for (let n = first; n < end; n++) {
    const item = store.item(n)
    if (item.skipped && !item.skipped.gone) skippedInSight ??= item
    drawn.push(!isLine(item)
      ? html`<div class="gap-row" key=${n} data-number=${n}>${item.gap ? html`<${Gap} gap=${item.gap} several=${several} />` : html`<${Skipped} skipped=${item.skipped} />`}</div>`
      : html`<${Line} key=${n} item=${item} number=${n} search=${search} select=${select} several=${several} changed=${() => store.changed()}
          selected=${store.selected && n >= store.selected[0] && n <= store.selected[1]} current=${store.current === n} />`)
  }
  return html`<div class=${'list ' + density.value + (wrapped ? ' wrapped' : '')} ref=${view} tabindex="0" role="log" aria-live="off" aria-label="Lines of the log" onScroll=${scroll} onPointerDown=${press}>
    <${Head} store=${store} tail=${tail} />
    <div class="all"><div class="rows" ref=${rows}>${drawn}</div></div>
    <div class="line ruler" aria-hidden="true">${shownColumns(several).map(name => html`<span class=${name}></span>`)}<span class="message"><span ref=${ruler}>0</span></span></div>
  </div>`
}

// Head stands above the oldest line of the view.
function Head({store, tail}) {
  const {dropped} = store
  let text = 'Scrolling up loads earlier lines'
  if (store.items.length === 0) text = {connecting: 'Reading …', live: 'No line yet. New ones appear here.', ended: 'No line passes.'}[tail.state.value.name] ?? ''
  else if (tail.source.session) text = dropped > 0 ? lineCount(dropped) + ' before these left this view' : 'The session begins here'
  else if (store.whole) text = dropped > 0 ? lineCount(dropped) + ' that left this view are no longer kept' : 'This is the oldest line that is kept'
  else if (dropped > 0) text = lineCount(dropped) + ' before these are not in this view; scrolling up loads them'
  if (tail.loading.value) text = 'Reading … ' + text
  return html`<div class="head">${text}</div>`
}
