// Requests to /v1. The token is kept only in this module's memory.
import {signal} from './vendor/signals.mjs'
import {placeOf, Place} from './store.js'

// root is the URL below which the logger is served. A proxy may have put it below a path.
export const root = new URL('..', import.meta.url)

// asked tells that a token is needed: 'first' if none was given, 'again' if it was refused.
export const asked = signal('')

let token = ''
let given = []

// useToken stores the token that the user gave, and lets waiting requests try again.
export function useToken(text) {
  token = text.trim()
  asked.value = ''
  given.forEach(go => go())
  given = []
}

function tokenGiven(abort) {
  asked.value = token === '' ? 'first' : 'again'
  return new Promise((resolve, reject) => {
    given.push(resolve)
    abort?.addEventListener('abort', () => reject(abort.reason))
  })
}

// Problem describes an answer that is no success.
export class Problem extends Error {
  constructor(status, code, message, retryAfter) {
    super(message)
    this.status = status
    this.code = code
    this.retryAfter = retryAfter
  }
}

// longest is the length that a URL may have. Longer parameters, which several apps may need, go
// into the body.
const longest = 4000

// get requests a path below /v1. If a token is needed, it waits until the user has given one. A
// session has its token in the path.
export async function get(path, parameters, abort) {
  const url = new URL('v1/' + path, root)
  for (const [name, value] of Object.entries(parameters ?? {})) {
    for (const one of [value].flat()) if (one !== '' && one != null) url.searchParams.append(name, one)
  }
  const ofSession = path.startsWith('sessions/')
  for (;;) {
    const headers = token === '' || ofSession ? {} : {Authorization: 'Bearer ' + token}
    const request = {headers, signal: abort, cache: 'no-store', credentials: 'omit'}
    const long = url.href.length > longest && /^(logs|tail|sessions\/.*)$/.test(path)
    const answer = await (long ? fetch(new URL(url.pathname, url), {...request, method: 'POST', body: url.searchParams}) : fetch(url, request))
    if (answer.ok) return answer
    const text = await answer.text()
    if (answer.status === 401 && !ofSession) {
      await tokenGiven(abort)
      continue
    }
    let {code, message} = {code: '', message: text.trim() || answer.statusText}
    try {
      ({code, message} = JSON.parse(text).error)
    } catch {} // not an answer of the logger's, but of something on the way
    throw new Problem(answer.status, code, message, Number(answer.headers.get('Retry-After')) || 0)
  }
}

// slice bounds how long records are processed at once, in milliseconds, before the page gets a
// turn.
const slice = 8

// backlog bounds how much of what was read waits to be processed. Tests lower it.
export const backlog = {lines: 10_000, characters: 8 << 20}

const channel = new MessageChannel()
const turns = []
channel.port1.onmessage = () => turns.shift()()
const turn = () => new Promise(resolve => {
  turns.push(resolve)
  channel.port2.postMessage(0)
})

// records calls take with each record of an NDJSON answer, in slices between the page's turns. It
// ends early if take returns true. It calls alive when bytes come. When more waits than backlog
// allows, it stops reading, unless maySkip tells that lines may be left out: then a record
// `skipped` replaces the older half of them.
export async function records(answer, take, {alive, maySkip} = {}) {
  const reader = answer.body.getReader()
  const waiting = new Backlog()
  let taken = null // the promise that everything that waits is processed
  let taking = false
  let over = false
  const takeAll = async () => {
    taking = true
    let until = performance.now() + slice
    while (!over && waiting.length > 0) {
      if (take(waiting.shift())) over = true
      if (performance.now() > until) {
        await turn()
        until = performance.now() + slice
      }
    }
    taking = false
    if (over) reader.cancel().catch(() => {})
  }
  try {
    while (!over) {
      const {done, value} = await reader.read()
      if (done || over) break
      alive?.()
      waiting.push(value)
      if (waiting.full && maySkip?.()) waiting.skip()
      if (!taking) taken = takeAll()
      if (waiting.full) await taken
    }
    await taken
  } finally {
    over = true
    reader.cancel().catch(() => {}) // the connection may be lost already
  }
}

// Backlog holds records that have been read, as lines of NDJSON.
class Backlog {
  decoder = new TextDecoder()
  rest = ''
  records = []
  first = 0
  characters = 0

  get length() {
    return this.records.length - this.first
  }

  get full() {
    return this.length > backlog.lines || this.characters > backlog.characters
  }

  push(bytes) {
    const text = this.rest + this.decoder.decode(bytes, {stream: true})
    let from = 0
    for (let to; (to = text.indexOf('\n', from)) >= 0; from = to + 1) this.records.push(text.slice(from, to))
    this.characters += from
    this.rest = text.slice(from)
  }

  shift() {
    const record = this.records[this.first]
    this.records[this.first++] = ''
    if (this.first > 4096) {
      this.records.splice(0, this.first)
      this.first = 0
    }
    if (typeof record !== 'string') return record
    this.characters -= record.length + 1
    return JSON.parse(record)
  }

  // skip replaces the older half by records `skipped`. Gaps stay, since nothing can load them.
  skip() {
    const kept = []
    const half = this.first + Math.ceil(this.length / 2)
    for (const record of this.records.slice(this.first, half)) {
      if (typeof record === 'string') this.characters -= record.length + 1
      if (typeof record !== 'string' || !record.startsWith('{"type":"entry"')) kept.push(typeof record === 'string' ? JSON.parse(record) : record)
      else {
        if (kept.at(-1)?.type !== 'skipped') kept.push({type: 'skipped', count: 0, ranges: new Map(), place: new Place()})
        noteSkipped(kept.at(-1), record)
      }
    }
    this.records = kept.concat(this.records.slice(half))
    this.first = 0
  }
}

// noteSkipped counts an entry that is left out, and notes its place in the log of its app. It does
// not parse the entry as JSON: it runs when there is no time.
function noteSkipped(skipped, entry) {
  skipped.count++
  const [, ofApp, cursor, place] = /^{"type":"entry"(?:,"app":"([^"]*)")?(?:,"cursor":"([^"]*)")?(?:,"place":"([^"]*)")?/.exec(entry)
  skipped.place.note({app: ofApp, cursor, place})
  const {app, epoch, position} = placeOf({app: ofApp, cursor, place})
  const name = app + ' ' + epoch
  const [least, most] = skipped.ranges.get(name) ?? [position, position]
  skipped.ranges.set(name, [Math.min(least, position), Math.max(most, position)])
}

// apps requests the list of all apps.
export async function apps(abort) {
  const all = []
  for (let after = ''; ;) {
    const page = await (await get('apps', {limit: 10000, after}, abort)).json()
    all.push(...page.apps)
    if (!page.next) return all
    after = page.next
  }
}
