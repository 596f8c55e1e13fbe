// A line as it is shown.
import {h} from './vendor/preact.mjs'
import htm from './vendor/htm.mjs'
import {signal} from './vendor/signals.mjs'
import {parts, plain} from './ansi.js'
import {time, count, lines, preference} from './format.js'

export const html = htm.bind(h)

// shown is the number of characters of a long line that are shown until it is expanded.
const shown = 4000

// json tells how a line of JSON is shown: compact, expanded, or raw as it was printed.
export const json = preference('json', 'compact')

// choices maps what may stand before a line's text to its label.
export const choices = {time: 'Time', level: 'Level', app: 'App', source: 'Process and pod', release: 'Release', stream: 'Stream', host: 'Host'}

// columns names the shown ones, separated by spaces.
export const columns = preference('columns', 'time level app source')

// shownColumns lists them in order. The app is shown only if there are several.
export function shownColumns(several) {
  const chosen = columns.value.split(' ')
  return Object.keys(choices).filter(name => chosen.includes(name) && (name !== 'app' || several))
}

// turned holds the lines that the user unfolded, or folded while all are unfolded.
const turned = new WeakSet()
const openings = signal(0)

const reasons = {
  evicted: 'newer lines pushed them out',
  slow: 'this browser did not read as fast as they came',
  deleted: 'the log was deleted',
  lost: 'the storage lost them',
}

// Gap shows, in their place, that lines are missing.
export function Gap({gap, several}) {
  let text = 'Some lines are missing here'
  if (gap.exact || gap.count > 0) text = (gap.exact ? '' : 'At least ') + lines(gap.count) + (gap.count === 1 && gap.exact ? ' is' : ' are') + ' missing here'
  return html`<div class="gap" role="note"><span>${several && gap.app && gap.app + ': '}${text}: ${reasons[gap.reason] ?? gap.reason}</span></div>`
}

// Skipped shows that lines came faster than the page could take them.
export function Skipped({skipped}) {
  const text = skipped.gone ? ' are no longer kept; they came faster than this page could show them' : ' came faster than this page could show them; they are loaded when this is in sight'
  return html`<div class="gap skipped" role="note"><span>${lines(skipped.count)}${text}</span></div>`
}

// marked wraps what matches a search in a mark.
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

// objectOf returns the object that a line contains as JSON, or null.
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

// Tree shows a JSON value with everything in it.
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
  openings.value // draws the message again when a line is opened
  const object = json.value === 'raw' ? null : objectOf(item)
  const open = turned.has(item) !== (object !== null && json.value === 'expanded')
  const long = item.message.length > shown
  const toggle = () => {
    turned.has(item) ? turned.delete(item) : turned.add(item)
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

// compactHas tells whether the compact form contains the text that was searched for.
function compactHas(object, search) {
  return Object.entries(object).some(([key, value]) => !levelNames.includes(key) && (key.toLowerCase().includes(search) || valueText(value).toLowerCase().includes(search)))
}

function source(item) {
  if (item.source === 'controller') return (item.controller ?? 'deis') + '[controller]'
  const pod = (item.pod ?? '').split('-')
  return [item.process, pod[pod.length - 1]].filter(Boolean).join('.')
}

// hueOf gives each app one of six colours, always the same one.
function hueOf(app) {
  let sum = 0
  for (let i = 0; i < app.length; i++) sum = (sum * 31 + app.charCodeAt(i)) % 9973
  return 'c' + (9 + (sum % 6))
}

const cells = {
  time: (item, number, select) => html`<a class="time" href=${'#' + linkTo(item)} title=${item.time + (item.published ? '\nreceived ' + item.published : '')} onClick=${event => select(event, number)}><time datetime=${item.time}>${time(item.time)}</time></a>`,
  level: item => html`<span class="level">${item.level ?? ''}</span>`,
  app: item => html`<span class=${'app ' + hueOf(item.app ?? '')} title=${item.app}>${item.app}</span>`,
  source: item => html`<span class="source" title=${[item.pod, item.container, item.release, item.stream, item.host].filter(Boolean).join('  ')}>${source(item)}</span>`,
  release: item => html`<span class="release">${item.release}</span>`,
  stream: item => html`<span class="stream">${item.stream}</span>`,
  host: item => html`<span class="host" title=${item.host}>${item.host}</span>`,
}

// Line shows one line: its time, its origin, its level and its text.
export function Line({item, number, search, selected, current, select, changed, several}) {
  return html`<div class=${'line' + (item.level ? ' l-' + item.level : '') + (selected ? ' selected' : '') + (current ? ' current' : '')} data-number=${number} aria-current=${current ? 'true' : undefined}>
    ${shownColumns(several).map(name => cells[name](item, number, select))}
    <${Message} item=${item} search=${search} changed=${changed} />
  </div>`
}

// linkTo returns the part of a URL after # that names a line; keyOfLink parses it.
export function linkTo(item) {
  const [app, cursor] = item.key.split(' ')
  return new URLSearchParams(app ? {app, cursor} : {cursor}).toString()
}

export function keyOfLink(hash) {
  const link = new URLSearchParams(hash.slice(1))
  const cursor = link.get('cursor') ?? ''
  return /^[0-9a-f]{16}-[0-9]+$/.test(cursor) ? (link.get('app') ?? '') + ' ' + cursor : ''
}

// textOf returns a line as it is copied.
export function textOf(item) {
  if (item.gap) return '--- ' + item.gap.count + ' lines are missing here: ' + item.gap.reason + ' ---'
  if (item.skipped) return '--- ' + item.skipped.count + ' lines are not shown here ---'
  return item.time + ' ' + [item.app, source(item), item.level].filter(Boolean).join(' ') + ': ' + plain(item.message).replace(/\n$/, '')
}
