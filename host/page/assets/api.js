// Requests to /v1. The token is kept in this module's memory alone.
import {signal} from './vendor/signals.mjs'

// root is the URL below which the logger is served, which a proxy may have put below a path.
export const root = new URL('..', import.meta.url)

// asked tells that a token is wanted: 'first' when none was given, 'again' when it was refused.
export const asked = signal('')

let token = ''
let given = []

// useToken takes the token that the user gave, and lets waiting requests try again.
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

// Problem is an answer that is no success.
export class Problem extends Error {
  constructor(status, code, message, retryAfter) {
    super(message)
    this.status = status
    this.code = code
    this.retryAfter = retryAfter
  }
}

// get asks for a path below /v1. If a token is wanted, it waits until the user has given one.
export async function get(path, parameters, abort) {
  const url = new URL('v1/' + path, root)
  for (const [name, value] of Object.entries(parameters ?? {})) {
    if (value !== '' && value != null) url.searchParams.set(name, value)
  }
  for (;;) {
    const headers = token === '' ? {} : {Authorization: 'Bearer ' + token}
    const answer = await fetch(url, {headers, signal: abort, cache: 'no-store', credentials: 'omit'})
    if (answer.ok) return answer
    const text = await answer.text()
    if (answer.status === 401) {
      await tokenGiven(abort)
      continue
    }
    let {code, message} = {code: '', message: text.trim() || answer.statusText}
    try {
      ({code, message} = JSON.parse(text).error)
    } catch {} // something on the way answered
    throw new Problem(answer.status, code, message, Number(answer.headers.get('Retry-After')) || 0)
  }
}

// slice is how long records are taken in, in milliseconds, before the page gets a turn.
const slice = 8

const channel = new MessageChannel()
const turns = []
channel.port1.onmessage = () => turns.shift()()
const turn = () => new Promise(resolve => {
  turns.push(resolve)
  channel.port2.postMessage(0)
})

// records calls take with each record of an NDJSON answer. It calls alive when bytes come. It stops
// early if take returns true.
export async function records(answer, take, alive) {
  const reader = answer.body.getReader()
  const decoder = new TextDecoder()
  let rest = ''
  try {
    for (;;) {
      const {done, value} = await reader.read()
      if (done) return
      alive?.()
      const text = rest + decoder.decode(value, {stream: true})
      let from = 0
      let began = performance.now()
      for (let to; (to = text.indexOf('\n', from)) >= 0; from = to + 1) {
        if (take(JSON.parse(text.slice(from, to)))) return
        if (performance.now() - began > slice) {
          await turn()
          began = performance.now()
        }
      }
      rest = text.slice(from)
    }
  } finally {
    reader.cancel().catch(() => {}) // a connection that is cut needs no end
  }
}

// apps asks for all apps.
export async function apps(abort) {
  const all = []
  for (let after = ''; ;) {
    const page = await (await get('apps', {limit: 10000, after}, abort)).json()
    all.push(...page.apps)
    if (!page.next) return all
    after = page.next
  }
}
