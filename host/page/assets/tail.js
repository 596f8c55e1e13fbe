// Follows a source: a stream of records that is resumed by cursor.
import {signal} from './vendor/signals.mjs'
import {records, Problem} from './api.js'
import {keyOf, placeOf, Place} from './store.js'

// silence bounds how long no byte may come, in milliseconds. Heartbeats come every 15 s.
const silence = 35_000

// firstLines is the number of lines with which a view begins; chunk is the number that it loads at
// once later.
const firstLines = 1000
const chunk = 2000

// pause is how long nothing is loaded after a failure, in milliseconds.
const pause = 2000

// Tail fills a store. Its state is connecting, live, lost, held (the view is full), ended or
// refused.
export class Tail {
  constructor(source, filters, store, wanted) {
    this.source = source
    this.filters = filters
    this.store = store
    this.wanted = wanted // the key of the line that the page's URL names, until it has come
    this.state = signal({name: 'connecting'})
    this.loading = signal(false)
    this.place = new Place()
    this.notBefore = 0 // when lines may be loaded again
    this.abort = null
    this.stopped = false
  }

  // cursor tells where the stream resumes.
  get cursor() {
    return this.place.toString()
  }

  stop() {
    this.stopped = true
    this.abort?.abort()
  }

  async run() {
    for (let failures = 0; !this.stopped;) {
      const came = this.cursor
      try {
        if (await this.once()) return
      } catch (err) {
        if (this.stopped || this.state.value.name === 'held') return
        if (err instanceof Problem && err.status < 500 && err.status !== 404 && err.status !== 429) {
          this.state.value = {name: 'refused', message: err.message}
          return
        }
        this.error = err
      }
      if (this.stopped) return
      failures = this.cursor === came ? failures + 1 : 0
      const wait = Math.max(this.error?.retryAfter ?? 0, Math.min(10, 0.25 * 2 ** failures)) * (0.75 + Math.random() / 2)
      this.state.value = {name: 'lost', message: this.error instanceof Problem ? this.error.message : '', again: Date.now() + wait * 1000}
      await new Promise(resolve => setTimeout(resolve, wait * 1000))
    }
  }

  // once reads one stream. It returns true if nothing more will come.
  async once() {
    this.error = null
    const abort = (this.abort = new AbortController())
    let timer
    const alive = () => {
      clearTimeout(timer)
      timer = setTimeout(() => abort.abort(), silence)
    }
    let end = ''
    const take = record => {
      if (this.stopped) return true
      if (this.state.value.name !== 'live') this.state.value = {name: 'live'}
      if (record.type === 'end') end = record.reason
      else if (record.type === 'heartbeat') this.isMissing()
      else if (!this.add(record)) {
        this.state.value = {name: 'held'}
        return true
      }
      this.place.note(record)
      return false
    }
    try {
      const place = this.cursor ? {after: this.cursor} : this.source.session ? {} : {lines: this.wanted ? -1 : firstLines}
      const answer = await this.source.ask('tail', {format: 'ndjson', ...this.source.few, ...this.filters, ...place}, abort.signal)
      alive()
      await records(answer, take, {alive, maySkip: () => this.place.cursor !== '' && !this.wanted && !this.source.session})
    } finally {
      clearTimeout(timer)
    }
    if (this.state.value.name === 'held') return true
    if (end === 'until') {
      this.state.value = {name: 'ended'}
      return true
    }
    return false
  }

  // add adds a record to the store. It returns false if the view is full and must not move.
  add(record) {
    if (record.type === 'skipped') record.after = this.cursor
    if (!this.store.add(record)) return false
    if (this.wanted && record.type === 'entry' && keyOf(record) === this.wanted) this.found()
    return true
  }

  // found keeps the view at the line that the page's URL names.
  found() {
    const number = this.store.end - 1
    this.wanted = ''
    this.store.following = false
    this.store.current = number
    this.store.selected = [number, number]
    this.store.goal = number
  }

  // isMissing tells, once all kept lines have come, that the line of the page's URL is not among
  // them.
  isMissing() {
    if (!this.wanted) return
    this.missing = true
    this.wanted = ''
    this.store.changed()
  }

  // loadOlder puts the lines before the view's oldest line in front of it.
  async loadOlder() {
    const {store} = this
    const oldest = store.oldest()
    if (store.whole || !oldest || this.wanted || this.source.session) return
    await this.load(async () => {
      const held = store.keys()
      let older = await this.before(oldest, held, held.size + chunk)
      // Perhaps more new lines came than the view holds: only all lines tell where the log begins.
      if (!older?.length) older = (await this.before(oldest, held, -1)) ?? []
      if (this.stopped || store.oldest() !== oldest) return
      if (older.length === 0) store.whole = true
      store.prepend(older)
    })
  }

  // load runs one loading at a time. If the view is full then, it is held.
  async load(run) {
    if (this.loading.value || Date.now() < this.notBefore) return
    this.loading.value = true
    try {
      await run()
      if (this.store.truncate()) {
        this.state.value = {name: 'held'}
        this.abort?.abort()
      }
    } catch (err) {
      if (!this.stopped) this.error = err
      this.notBefore = Date.now() + pause
      setTimeout(() => this.store.changed(), pause)
    } finally {
      this.loading.value = false
      this.store.changed()
    }
  }

  // before reads the newest lines, and returns those before the view's oldest line, a chunk at
  // most. It returns undefined if the oldest line is not among them.
  async before(oldest, held, lines) {
    let older = []
    let met = false
    const answer = await this.source.ask('logs', {format: 'ndjson', ...this.source.few, ...this.filters, lines})
    await records(answer, record => {
      if (record.type === 'end') throw new Error(record.reason)
      if (this.stopped || record.type !== 'entry') return this.stopped
      const key = keyOf(record)
      if (key === oldest.key) return (met = true)
      if (!held.has(key)) older.push(record)
      if (older.length > 2 * chunk) older = older.slice(-chunk)
      return false
    })
    return met ? older.slice(-chunk) : undefined
  }

  // loadSkipped puts skipped lines in their place. If none of them is kept any more, the item that
  // stands for them says so.
  async loadSkipped(item) {
    const {store} = this
    const {skipped} = item
    await this.load(async () => {
      const held = store.keys()
      const lines = []
      const place = new Place(skipped.after)
      const answer = await this.source.ask('logs', {format: 'ndjson', ...this.source.few, ...this.filters, after: skipped.after, lines: -1})
      await records(answer, record => {
        place.note(record)
        if (record.type === 'end') throw new Error(record.reason)
        if (record.type === 'entry' && wasSkipped(skipped, record) && !held.has(keyOf(record))) {
          lines.push(record)
        }
        return this.stopped || lines.length >= Math.min(chunk, skipped.count)
      })
      if (this.stopped) return
      if (lines.length > 0) skipped.after = place.toString()
      else skipped.gone = true
      store.fill(item, lines)
    })
  }
}

function wasSkipped({ranges}, record) {
  const {app, epoch, position} = placeOf(record)
  const [least, most] = ranges.get(app + ' ' + epoch) ?? []
  return position >= least && position <= most
}
