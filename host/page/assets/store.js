// The lines that the view holds, and their heights.
import {signal} from './vendor/signals.mjs'
import {plain} from './ansi.js'

// Limits of what the view holds. While it follows, older lines leave it; they are loaded again when
// the user scrolls back.
export const limits = {lines: 100_000, characters: 32 << 20, slack: 4096}

// blockSize is the number of items that share one sum of heights.
const blockSize = 256

// rowHeights are in pixels, as in page.css.
const rowHeights = {compact: 18, comfortable: 24}

// placeOf returns a line's place in its app's log: the log's epoch, and the line's position in the
// order of arrival. It is the same however the line was read. A record of several apps has its own
// place beside the cursor of all of them.
export function placeOf({app = '', cursor, place = cursor}) {
  const parts = place.replace(/[~_].*/, '').split('-')
  return {app, epoch: parts[0], position: Number(parts[parts.length - 1])}
}

// Place tells how far a stream has come: the last cursor, and the places of apps since then. Lines
// of several apps have no cursor of their own.
export class Place {
  constructor(cursor = '') {
    this.cursor = cursor
    this.since = new Map()
  }

  // note updates the place from a record.
  note(record) {
    const cursor = record.cursor ?? record.to
    if (record.type === 'skipped') this.go(record.place)
    else if (cursor) this.go({cursor, since: []})
    else this.since.set(record.app, record.place)
  }

  go({cursor, since}) {
    if (cursor) {
      this.cursor = cursor
      this.since.clear()
    }
    for (const [app, place] of since) this.since.set(app, place)
  }

  toString() {
    return this.cursor + [...this.since].map(([app, place]) => ',' + app + '=' + place).join('')
  }
}

// keyOf returns a text that names a line.
export function keyOf(record) {
  const {app, epoch, position} = placeOf(record)
  return app + ' ' + epoch + '-' + position
}

// Store holds items, oldest first: lines, gaps, and items that stand for skipped lines. Item i has
// the number base + i. The number stays, unless lines are put in after the item.
export class Store {
  constructor() {
    this.changes = signal(0) // changes whenever the view has to be drawn
    this.several = signal(false) // whether lines show their app
    this.scheduled = false
    this.row = rowHeights.compact
    this.width = 0 // of a message, in characters; 0 while long lines are not wrapped
    this.clear()
  }

  clear() {
    this.items = []
    this.sums = []
    this.base = 0
    this.characters = 0
    this.dropped = 0 // lines that left the view at its beginning
    this.skipped = 0 // lines that came faster than they could be taken
    this.fresh = 0 // lines that came since the view stopped following
    this.following = true
    this.whole = false // whether the view has the oldest kept line
    this.selected = null // the numbers of the first and the last selected item
    this.current = null // the number of the line that was found by a search
    this.anchor = null // while the view does not follow: the number of the item at its top, and how far the top is inside it
    this.changed()
  }

  // changed draws the view in the next frame.
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
    if (!isLine(item)) return this.row + 6
    if (!this.width) return item.breaks * this.row
    return Math.min(200, item.breaks - 1 + Math.ceil((item.message.length || 1) / this.width)) * this.row
  }

  // add adds a record of the stream. It returns false if the view is full and must not move.
  add(record) {
    const item = toItem(record)
    if (record.app && !this.several.value) this.several.value = true
    if (this.full() && !this.following) return false
    item.height = this.estimate(item)
    this.items.push(item)
    const block = Math.floor((this.items.length - 1) / blockSize)
    this.sums[block] = (this.sums[block] ?? 0) + item.height
    if (isLine(item)) this.characters += item.message.length
    if (item.skipped) this.skipped += item.skipped.count
    if (!this.following) this.fresh += linesOf(item)
    if (this.following && this.full(limits.slack)) this.shrink()
    this.changed()
    return true
  }

  full(slack = 0) {
    return this.items.length >= limits.lines + slack || this.characters > limits.characters + slack * 256
  }

  // shrink removes the oldest items until the view is no longer full.
  shrink() {
    let n = 0
    for (let left = this.items.length; n < this.items.length - 1 && (left > limits.lines || this.characters > limits.characters); left--) {
      const item = this.items[n++]
      if (isLine(item)) this.characters -= item.message.length
      if (item.skipped) this.skipped -= item.skipped.count
      this.dropped += linesOf(item)
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
      if (isLine(item)) this.characters += item.message.length
    }
    this.items = items.concat(this.items)
    this.base -= items.length
    this.dropped = Math.max(0, this.dropped - items.length)
    this.total()
    this.changed()
  }

  // fill puts skipped lines before the item that stands for them, and removes that item once it
  // stands for none. The numbers before it change.
  fill(skipped, records) {
    const at = this.items.indexOf(skipped)
    if (at < 0) return // it has left the view
    const items = records.map(toItem)
    for (const item of items) {
      item.height = this.estimate(item)
      this.characters += item.message.length
    }
    skipped.skipped.count -= items.length
    this.skipped -= items.length
    const gone = skipped.skipped.count === 0 ? 1 : 0
    this.items = this.items.slice(0, at).concat(items, this.items.slice(at + gone))
    const number = this.base + at
    const moved = items.length - gone
    this.base -= moved
    const move = n => (n < number ? n - moved : n)
    if (this.current !== null) this.current = move(this.current)
    this.selected &&= this.selected.map(move)
    if (this.anchor) this.anchor.number = move(this.anchor.number)
    this.total()
    this.changed()
  }

  // truncate removes the newest items until the view is no longer full. It returns whether it
  // removed any.
  truncate() {
    let n = this.items.length
    while (n > 1 && (n > limits.lines || this.characters > limits.characters)) {
      const item = this.items[--n]
      if (isLine(item)) this.characters -= item.message.length
      if (item.skipped) this.skipped -= item.skipped.count
    }
    if (n === this.items.length) return false
    this.items.length = n
    this.total()
    return true
  }

  // total computes the sums of heights again.
  total() {
    this.sums = []
    for (let i = 0; i < this.items.length; i += blockSize) {
      let sum = 0
      for (let j = i; j < Math.min(i + blockSize, this.items.length); j++) sum += this.items[j].height
      this.sums.push(sum)
    }
  }

  // layOut estimates all heights again, for that many characters of a message in a row.
  layOut(width, density) {
    const row = rowHeights[density]
    if (width === this.width && row === this.row) return
    this.width = width
    this.row = row
    for (const item of this.items) {
      item.height = this.estimate(item)
      item.measured = false
    }
    this.total()
  }

  // measure stores the height that an item really has.
  measure(number, height) {
    const i = number - this.base
    const item = this.items[i]
    item.measured = true
    this.sums[Math.floor(i / blockSize)] += height - item.height
    item.height = height
  }

  // offset returns the distance from the first item to the item of that number.
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

  // find returns the number of the next item that passes, starting at a number, or -1. It does not
  // wrap around, since a reader wants to notice the end of the log.
  find(passes, from, step) {
    for (let n = from; n >= this.base && n < this.end; n += step) if (passes(this.item(n))) return n
    return -1
  }

  // oldest returns the first item that is a line.
  oldest() {
    return this.items.find(isLine)
  }

  keys() {
    return new Set(this.items.filter(isLine).map(item => item.key))
  }
}

// isLine tells whether an item is a line, and not in place of missing ones.
export const isLine = item => item.message !== undefined

// linesOf returns how many of the logger's lines an item stands for.
const linesOf = item => (isLine(item) ? 1 : (item.skipped?.count ?? 0))

function toItem(record) {
  if (record.type === 'gap') return {gap: record}
  if (record.type === 'skipped') return {skipped: record}
  let breaks = 1
  for (let i = -1; (i = record.message.indexOf('\n', i + 1)) >= 0;) breaks++
  record.key = keyOf(record)
  record.breaks = breaks
  return record
}

// contains returns a test whether an item contains a text, ignoring case.
export function contains(text) {
  text = text.toLowerCase()
  return item => isLine(item) && plain(item.message).toLowerCase().includes(text)
}

// isError passes items of level error and above.
export const isError = item => item.level === 'error' || item.level === 'fatal'
