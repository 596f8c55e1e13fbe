// The lines of one app that the view holds, and the heights that they take.
import {signal} from './vendor/signals.mjs'
import {plain} from './ansi.js'

// Limits of what the view holds. Older lines leave it while it follows; they are loaded again when
// somebody scrolls back.
export const limits = {lines: 100_000, characters: 32 << 20, slack: 4096}

// blockSize is how many items share one sum of heights.
const blockSize = 256

// lineHeight is in pixels, as in page.css.
export const lineHeight = 18

// keyOf returns what a line's cursors have in common, however it was read: the log's epoch, and
// the line's position in the order of arrival. It is itself a cursor just behind the line.
export function keyOf(cursor) {
  const parts = cursor.replace(/~.*/, '').split('-')
  return parts[0] + '-' + parts[parts.length - 1]
}

// Store holds items: lines and gaps, oldest first. Item i has the number base + i, which never changes.
export class Store {
  constructor() {
    this.changes = signal(0) // counts what the view has to draw
    this.scheduled = false
    this.width = 0 // of a message, in characters; 0 while long lines are not wrapped
    this.clear()
  }

  clear() {
    this.items = []
    this.sums = []
    this.base = 0
    this.characters = 0
    this.dropped = 0 // lines that left the view at its beginning
    this.fresh = 0 // lines that came since the view stopped following
    this.following = true
    this.whole = false // whether the view has the oldest line that is kept
    this.selected = null // the numbers of the first and the last selected item
    this.current = -1 // the number of the line that was searched for
    this.changed()
  }

  // changed has the view drawn in the next frame.
  changed() {
    if (this.scheduled) return
    this.scheduled = true
    const draw = () => {
      if (!this.scheduled) return
      this.scheduled = false
      this.changes.value++
    }
    if (document.hidden) setTimeout(draw, 200)
    else requestAnimationFrame(draw)
  }

  item(number) {
    return this.items[number - this.base]
  }

  get end() {
    return this.base + this.items.length
  }

  estimate(item) {
    if (item.gap) return lineHeight + 6
    if (!this.width) return item.breaks * lineHeight
    return Math.min(200, item.breaks - 1 + Math.ceil((item.message.length || 1) / this.width)) * lineHeight
  }

  // add takes a record of the stream. It returns false if the view is full and must not move.
  add(record) {
    const item = toItem(record)
    if (this.full() && !this.following) return false
    item.height = this.estimate(item)
    this.items.push(item)
    const block = Math.floor((this.items.length - 1) / blockSize)
    this.sums[block] = (this.sums[block] ?? 0) + item.height
    if (!item.gap) {
      this.characters += item.message.length
      if (!this.following) this.fresh++
    }
    if (this.following && this.full(limits.slack)) this.shrink()
    this.changed()
    return true
  }

  full(slack = 0) {
    return this.items.length >= limits.lines + slack || this.characters > limits.characters + slack * 256
  }

  // shrink lets the oldest items go until the view is no longer full.
  shrink() {
    let n = 0
    for (let left = this.items.length; n < this.items.length - 1 && (left > limits.lines || this.characters > limits.characters); left--) {
      const item = this.items[n++]
      if (item.gap) continue
      this.characters -= item.message.length
      this.dropped++
    }
    if (n > 0) this.whole = false
    this.items.splice(0, n)
    this.base += n
    if (this.selected && this.selected[0] < this.base) this.selected = null
    this.total()
  }

  // prepend puts older lines in front.
  prepend(records) {
    const items = records.map(toItem)
    for (const item of items) {
      item.height = this.estimate(item)
      if (!item.gap) this.characters += item.message.length
    }
    this.items = items.concat(this.items)
    this.base -= items.length
    this.dropped = Math.max(0, this.dropped - items.length)
    this.total()
    this.changed()
  }

  // truncate lets the newest items go until the view is no longer full. It returns whether any went.
  truncate() {
    let n = this.items.length
    while (n > 1 && (n > limits.lines || this.characters > limits.characters)) {
      const item = this.items[--n]
      if (!item.gap) this.characters -= item.message.length
    }
    if (n === this.items.length) return false
    this.items.length = n
    this.total()
    return true
  }

  // total sums up the heights anew.
  total() {
    this.sums = []
    for (let i = 0; i < this.items.length; i += blockSize) {
      let sum = 0
      for (let j = i; j < Math.min(i + blockSize, this.items.length); j++) sum += this.items[j].height
      this.sums.push(sum)
    }
  }

  // layOut estimates all heights anew, for messages of so many characters a row.
  layOut(width) {
    if (width === this.width) return
    this.width = width
    for (const item of this.items) {
      item.height = this.estimate(item)
      item.measured = false
    }
    this.total()
  }

  // measure notes the height that an item really has.
  measure(number, height) {
    const i = number - this.base
    const item = this.items[i]
    item.measured = true
    this.sums[Math.floor(i / blockSize)] += height - item.height
    item.height = height
  }

  // offset returns how far below the first item the item of that number begins.
  offset(number) {
    const i = number - this.base
    const block = Math.floor(i / blockSize)
    let y = 0
    for (let b = 0; b < block; b++) y += this.sums[b]
    for (let j = block * blockSize; j < i; j++) y += this.items[j].height
    return y
  }

  get height() {
    return this.sums.reduce((a, b) => a + b, 0)
  }

  // at returns the number of the item at a height.
  at(y) {
    let block = 0
    while (block < this.sums.length - 1 && y >= this.sums[block]) y -= this.sums[block++]
    let i = block * blockSize
    while (i < this.items.length - 1 && y >= this.items[i].height) y -= this.items[i++].height
    return this.base + i
  }

  // find returns the number of the next item that passes, from a number on, or -1. It does not go
  // round: the end of a log is a place that a reader wants to notice.
  find(passes, from, step) {
    for (let n = from; n >= this.base && n < this.end; n += step) if (passes(this.item(n))) return n
    return -1
  }

  // oldest returns the first item that is a line.
  oldest() {
    return this.items.find(item => !item.gap)
  }

  keys() {
    return new Set(this.items.filter(item => !item.gap).map(item => item.key))
  }
}

function toItem(record) {
  if (record.type === 'gap') return {gap: record}
  let breaks = 1
  for (let i = -1; (i = record.message.indexOf('\n', i + 1)) >= 0;) breaks++
  record.key = keyOf(record.cursor)
  record.breaks = breaks
  return record
}

// contains returns a test of items for a text, whatever its case.
export function contains(text) {
  text = text.toLowerCase()
  return item => !item.gap && plain(item.message).toLowerCase().includes(text)
}

// isError passes items of level error and above.
export const isError = item => item.level === 'error' || item.level === 'fatal'
