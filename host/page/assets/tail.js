// Follows one app: a stream of records that is resumed by cursor.
import {signal} from './vendor/signals.mjs'
import {get, records, Problem} from './api.js'
import {keyOf} from './store.js'

// silence is how long no byte may come, in milliseconds: heartbeats come every 15 s.
const silence = 35_000

// firstLines is how many lines a view begins with; chunk is how many older ones it loads at once.
const firstLines = 1000
const chunk = 2000

// Tail fills a store. Its state is connecting, live, lost, held (the view is full), ended or refused.
export class Tail {
  constructor(app, filters, store, wanted) {
    this.app = app
    this.filters = filters
    this.store = store
    this.wanted = wanted // the key of the line that the page's URL names, until it has come
    this.state = signal({name: 'connecting'})
    this.loading = signal(false)
    this.cursor = ''
    this.cuts = 0
    this.abort = null
    this.stopped = false
  }

  get path() {
    return 'apps/' + encodeURIComponent(this.app)
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
        if (this.stopped) return
        if (this.state.value.name === 'held') return
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
      await new Promise(resolve => {
        const timer = setTimeout(resolve, wait * 1000)
        this.hurry = () => {
          clearTimeout(timer)
          resolve()
        }
      })
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
    try {
      const place = this.cursor ? {after: this.cursor} : {lines: this.wanted ? -1 : firstLines}
      const answer = await get(this.path + '/tail', {format: 'ndjson', ...this.filters, ...place}, abort.signal)
      alive()
      await records(answer, record => {
        if (this.stopped) return true
        if (this.state.value.name !== 'live') this.state.value = {name: 'live'}
        switch (record.type) {
          case 'entry':
          case 'gap':
            if (!this.store.add(record)) {
              this.state.value = {name: 'held'}
              return true
            }
            if (this.wanted && record.cursor && keyOf(record.cursor) === this.wanted) this.found()
            break
          case 'heartbeat':
            if (this.wanted) {
              this.missing = true
              this.wanted = ''
              this.store.changed()
            }
            break
          case 'end':
            end = record.reason
        }
        this.cursor = record.cursor ?? record.to
        return false
      }, alive)
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

  // found keeps the view at the line that the page's URL names.
  found() {
    const number = this.store.end - 1
    this.wanted = ''
    this.store.following = false
    this.store.current = number
    this.store.selected = [number, number]
    this.store.goal = number
  }

  // loadOlder puts the lines before the oldest of the view in front of it.
  async loadOlder() {
    const {store} = this
    const oldest = store.oldest()
    if (this.loading.value || store.whole || !oldest || this.wanted) return
    this.loading.value = true
    try {
      const held = store.keys()
      let older = await this.before(oldest, held, held.size + chunk)
      // Perhaps more lines came since than the view has: only all lines tell where the log begins.
      if (!older?.length) older = (await this.before(oldest, held, -1)) ?? []
      if (this.stopped || store.oldest() !== oldest) return
      if (older.length === 0) store.whole = true
      store.prepend(older)
      if (store.truncate()) {
        this.state.value = {name: 'held'}
        this.abort?.abort()
      }
    } catch (err) {
      if (!this.stopped) this.error = err
    } finally {
      this.loading.value = false
      store.changed()
    }
  }

  // before reads the newest lines and returns those, a chunk at most, that come before the oldest
  // line of the view; undefined if that one is not among them.
  async before(oldest, held, lines) {
    let older = []
    let met = false
    const answer = await get(this.path + '/logs', {format: 'ndjson', ...this.filters, lines})
    await records(answer, record => {
      if (record.type === 'end') throw new Error(record.reason)
      if (this.stopped || record.type !== 'entry') return this.stopped
      const key = keyOf(record.cursor)
      if (key === oldest.key) return (met = true)
      if (!held.has(key)) older.push(record)
      if (older.length > 2 * chunk) older = older.slice(-chunk)
      return false
    })
    return met ? older.slice(-chunk) : undefined
  }
}
