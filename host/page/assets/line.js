// A line as it is shown.
import {h} from './vendor/preact.mjs'
import htm from './vendor/htm.mjs'
import {signal} from './vendor/signals.mjs'
import {parts, plain} from './ansi.js'
import {time, count, lines} from './format.js'

export const html = htm.bind(h)

// shown is how many characters of a long line are shown until it is expanded.
const shown = 4000

// expanded are the lines that somebody opened.
const expanded = new WeakSet()
const openings = signal(0)

const reasons = {
  evicted: 'newer lines pushed them out',
  slow: 'this browser did not read as fast as they came',
  deleted: 'the log was deleted',
  lost: 'the storage lost them',
}

// Gap tells of lines that are missing in its place.
export function Gap({gap}) {
  let text = 'Some lines are missing here'
  if (gap.exact || gap.count > 0) text = (gap.exact ? '' : 'At least ') + lines(gap.count) + (gap.count === 1 && gap.exact ? ' is' : ' are') + ' missing here'
  return html`<div class="gap" role="note"><span>${text}: ${reasons[gap.reason] ?? gap.reason}</span></div>`
}

// marked puts what matches a search in a mark.
function marked(text, search) {
  if (!search) return text
  const lower = text.toLowerCase()
  if (lower.length !== text.length) return text
  const out = []
  let from = 0
  for (let at; (at = lower.indexOf(search, from)) >= 0; from = at + search.length) {
    out.push(text.slice(from, at), html`<mark>${text.slice(at, at + search.length)}</mark>`)
  }
  out.push(text.slice(from))
  return out
}

function coloured(message, search) {
  return parts(message).map(([text, classes]) => (classes ? html`<span class=${classes}>${marked(text, search)}</span>` : marked(text, search)))
}

// objectOf returns the object that a line is in JSON, or null.
function objectOf(item) {
  if (item.object !== undefined) return item.object
  item.object = null
  const text = item.message.trim()
  if (text[0] === '{' && text.endsWith('}')) {
    try {
      item.object = JSON.parse(text)
    } catch {} // it only looks like JSON
  }
  return item.object
}

const textNames = ['message', 'msg', '@m', '@mt', 'event', 'short_message']
const levelNames = ['level', 'severity', 'lvl', 'log.level', 'levelname', '@l', 'time', 'timestamp', '@timestamp', 'ts', '@t']

function valueText(value) {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

// compact shows an object as its text and, dimmed, its other members.
function compact(object, search) {
  const name = textNames.find(n => typeof object[n] === 'string')
  const out = name ? [html`<span class="text">${marked(plain(object[name]), search)}</span>`] : []
  for (const [key, value] of Object.entries(object)) {
    if (key === name || levelNames.includes(key)) continue
    out.push(' ', html`<span class="member"><span class="key">${marked(key, search)}=</span>${marked(valueText(value), search)}</span>`)
  }
  return out
}

// Tree shows a JSON value with all that is in it.
function Tree({value, search}) {
  if (value === null || typeof value !== 'object') {
    return html`<span class=${'json-' + (value === null ? 'null' : typeof value)}>${marked(JSON.stringify(value), search)}</span>`
  }
  const entries = Object.entries(value)
  if (entries.length === 0) return Array.isArray(value) ? '[]' : '{}'
  return html`<ul class="tree">${entries.map(([key, v]) => html`<li><span class="key">${marked(key, search)}</span>: <${Tree} value=${v} search=${search} /></li>`)}</ul>`
}

// Message shows a line's text.
function Message({item, search, changed}) {
  openings.value // it is drawn again when a line is opened
  const open = expanded.has(item)
  const object = objectOf(item)
  const long = item.message.length > shown
  const toggle = () => {
    open ? expanded.delete(item) : expanded.add(item)
    item.measured = false
    openings.value++
    changed()
  }
  const pretty = object && (!search || !plain(item.message).toLowerCase().includes(search) || compactHas(object, search))
  let body
  if (object && open) body = html`<${Tree} value=${object} search=${search} />`
  else if (pretty && !long) body = compact(object, search)
  else body = coloured(long && !open ? item.message.slice(0, shown) : item.message, search)
  return html`<span class="message">
    ${(object || long) && html`<button class="open" aria-expanded=${open} aria-label=${open ? 'Fold this line' : 'Unfold this line'} onClick=${toggle}>${open ? '▾' : '▸'}</button>`}
    ${body}
    ${long && !open && html`<span class="note"> … ${count(item.message.length - shown)} more characters</span>`}
    ${item.cut_bytes && html`<span class="note"> ${count(item.cut_bytes)} bytes were cut off</span>`}
    ${item.late && html`<span class="note" title="It was published more than a second before a line that is shown above it">late</span>`}
  </span>`
}

// compactHas tells whether the compact form shows what was searched for.
function compactHas(object, search) {
  return Object.entries(object).some(([key, value]) => !levelNames.includes(key) && (key.toLowerCase().includes(search) || valueText(value).toLowerCase().includes(search)))
}

function source(item) {
  if (item.source === 'controller') return (item.controller ?? 'deis') + '[controller]'
  const pod = (item.pod ?? '').split('-')
  return [item.process, pod[pod.length - 1]].filter(Boolean).join('.')
}

// Line shows one line: when, from where, of which level, and what.
export function Line({item, number, search, selected, current, select, changed}) {
  const from = source(item)
  return html`<div class=${'line' + (item.level ? ' l-' + item.level : '') + (selected ? ' selected' : '') + (current ? ' current' : '')} data-number=${number} aria-current=${current ? 'true' : undefined}>
    <a class="time" href=${'#cursor=' + item.key} title=${item.time + (item.published ? '\nreceived ' + item.published : '')} onClick=${event => select(event, number)}><time datetime=${item.time}>${time(item.time)}</time></a>
    <span class="level">${item.level ?? ''}</span>
    <span class="source" title=${[item.pod, item.container, item.release, item.stream, item.host].filter(Boolean).join('  ')}>${from}</span>
    <${Message} item=${item} search=${search} changed=${changed} />
  </div>`
}

// textOf is a line as it is copied.
export function textOf(item) {
  if (item.gap) return '--- ' + item.gap.count + ' lines are missing here: ' + item.gap.reason + ' ---'
  return item.time + ' ' + [source(item), item.level].filter(Boolean).join(' ') + ': ' + plain(item.message).replace(/\n$/, '')
}
