// How many lines of each level there were over time. Dragging over the chart chooses a time.
import {useEffect, useRef} from './vendor/hooks.mjs'
import {useSignal} from './vendor/signals.mjs'
import {get} from './api.js'
import {html} from './line.js'
import {zone, time, lines, now} from './format.js'

// every is the time between an answer and the next request for the counts, in milliseconds.
const every = 10_000

// spans are the times that a chart may go back if nobody chose one, in minutes. It takes the
// shortest that includes the oldest line of the view.
const spans = [5, 15, 60, 360, 1440]

// stacks lists the levels from the bottom up; lines without a level are lowest.
const stacks = ['', 'trace', 'debug', 'info', 'warn', 'error', 'fatal']

// soon is the time between the first request for lines and that for the counts, in milliseconds.
// The lines come first, and tell how far back to go.
const soon = 300

const height = 44
const least = 4 // in pixels; a shorter drag is a click

// Chart shows the lines that pass the filters. While it shows a whole log, its end moves with the
// time.
export function Chart({source, filters, store, choose}) {
  const answer = useSignal(null)
  const drag = useSignal(null) // where it began and where it is, in pixels
  const over = useSignal(null)
  const width = useSignal(0)
  const canvas = useRef()

  useEffect(() => {
    const abort = new AbortController()
    let timer
    const ask = async () => {
      try {
        if (!document.hidden) answer.value = read(await (await get('histogram', {app: source.apps, since: filters.until ? '' : sinceOf(store), ...filters}, abort.signal)).json())
      } catch {
        if (abort.signal.aborted) return
        answer.value = null // the stream tells what is wrong
      }
      if (!abort.signal.aborted) timer = setTimeout(ask, every)
    }
    timer = setTimeout(ask, soon)
    return () => {
      abort.abort()
      clearTimeout(timer)
    }
  }, [source, filters])

  useEffect(() => {
    const observer = new ResizeObserver(() => (width.value = canvas.current?.clientWidth ?? 0))
    observer.observe(canvas.current)
    const dark = matchMedia('(prefers-color-scheme: dark)')
    const again = () => draw(canvas.current, answer.peek())
    dark.addEventListener('change', again)
    return () => {
      observer.disconnect()
      dark.removeEventListener('change', again)
    }
  }, [])
  useEffect(() => draw(canvas.current, answer.value), [answer.value, width.value])

  const a = answer.value
  const at = x => a.from + ((a.until - a.from) * Math.min(Math.max(x, 0), width.value)) / width.value
  const x = event => event.clientX - canvas.current.getBoundingClientRect().left
  const down = event => {
    if (event.button !== 0 || !a) return
    canvas.current.setPointerCapture(event.pointerId)
    drag.value = [x(event), x(event)]
  }
  const move = event => {
    over.value = x(event)
    if (drag.value) drag.value = [drag.value[0], x(event)]
  }
  const up = () => {
    const [from, to] = [...(drag.value ?? [0, 0])].sort((p, q) => p - q)
    drag.value = null
    if (to - from < least) return
    choose(new Date(at(from)).toISOString(), new Date(at(to)).toISOString())
  }
  const bucket = a && over.value !== null && a.buckets.find(b => at(over.value) >= b.at && at(over.value) < b.at + a.step)
  zone.value, now.value // draws the times again
  return html`<div class="chart" hidden=${!a}>
    <canvas ref=${canvas} role="img" aria-label=${a ? tell(a) : 'Lines over time'} onPointerDown=${down} onPointerMove=${move} onPointerUp=${up} onPointerCancel=${() => (drag.value = null)} onPointerLeave=${() => (over.value = null)}></canvas>
    ${drag.value && html`<div class="drag" ref=${el => place(el, drag.value)}></div>`}
    ${a && html`<div class="axis"><span>${clock(a.from)}</span>
      <span class="count">${bucket ? clock(bucket.at) + '  ' + countsOf(bucket) : 'drag to choose a time'}</span><span>${clock(a.until)}</span></div>`}
  </div>`
}

function sinceOf(store) {
  const oldest = store.oldest()
  const minutes = oldest ? (Date.now() - Date.parse(oldest.time)) / 60_000 : 0
  return (spans.find(span => span > minutes) ?? spans.at(-1)) + 'm'
}

// clock returns a time without fractions of seconds.
const clock = ms => time(new Date(ms).toISOString()).replace(/\.\d+$/, '')

// place positions an element by properties of its style, which scripts may set under the page's
// policy.
function place(el, range) {
  if (!el || !range) return // the chart has just gone
  const [from, to] = range
  el.style.left = Math.min(from, to) + 'px'
  el.style.width = Math.abs(to - from) + 'px'
}

function read({from, until, step, buckets}) {
  const all = buckets.map(b => ({...b, at: Date.parse(b.time)}))
  return {from: Date.parse(from), until: Date.parse(until), step: durationOf(step), buckets: all}
}

// durationOf parses a duration such as 1m30s, and returns milliseconds.
function durationOf(text) {
  const units = {ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000}
  let sum = 0
  for (const [, n, unit] of text.matchAll(/([\d.]+)(ms|[smhdw])/g)) sum += n * units[unit]
  return sum
}

function levelsOf(bucket) {
  const counts = {...bucket.levels}
  const known = stacks.slice(1).reduce((sum, level) => sum + (counts[level] ?? 0), 0)
  return {...counts, '': bucket.total - known}
}

const countsOf = bucket => [lines(bucket.total), ...stacks.slice(1).reverse().filter(l => bucket.levels?.[l]).map(l => bucket.levels[l] + ' ' + l)].join(', ')

function tell(a) {
  const sum = {total: 0, levels: {}}
  for (const b of a.buckets) {
    sum.total += b.total
    for (const [level, n] of Object.entries(b.levels ?? {})) sum.levels[level] = (sum.levels[level] ?? 0) + n
  }
  return 'Lines over time, ' + clock(a.from) + ' to ' + clock(a.until) + ': ' + countsOf(sum)
}

function draw(canvas, a) {
  if (!canvas) return
  const scale = devicePixelRatio
  const width = canvas.clientWidth
  canvas.width = width * scale
  canvas.height = height * scale
  if (!a || a.until <= a.from || width === 0) return
  const context = canvas.getContext('2d')
  const style = getComputedStyle(document.documentElement)
  const colours = Object.fromEntries(stacks.map(level => [level, style.getPropertyValue(level ? '--' + level : '--bar')]))
  const most = Math.max(1, ...a.buckets.map(b => b.total))
  context.scale(scale, scale)
  const bar = (a.step / (a.until - a.from)) * width
  for (const b of a.buckets) {
    const counts = levelsOf(b)
    const x = ((b.at - a.from) / (a.until - a.from)) * width
    let y = height
    for (const level of stacks) {
      if (!counts[level]) continue
      const tall = Math.max(1, (counts[level] / most) * (height - 2)) // keeps one error among thousands visible
      context.fillStyle = colours[level]
      context.fillRect(x, y - tall, Math.max(1, bar - 1), tall)
      y -= tall
    }
  }
}
