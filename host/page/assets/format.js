// How times and numbers are shown.
import {signal, effect} from './vendor/signals.mjs'

// preference is a signal whose value the browser keeps once the user has chosen it.
export function preference(name, otherwise) {
  let kept = null
  try {
    kept = localStorage.getItem('logger.' + name)
  } catch {} // storage may be forbidden
  const s = signal(kept ?? otherwise)
  effect(() => {
    if (s.value === (kept ?? otherwise)) return
    kept = s.value
    try {
      localStorage.setItem('logger.' + name, s.value)
    } catch {}
  })
  return s
}

export const zone = preference('zone', 'local')
export const density = preference('density', 'compact')
export const wrap = preference('wrap', matchMedia('(max-width: 640px)').matches ? 'on' : 'off')

// now changes every second, for relative times.
export const now = signal(Date.now())
setInterval(() => {
  if (!document.hidden) now.value = Date.now()
}, 1000)

const two = n => String(n).padStart(2, '0')

// ago tells how long ago a moment was.
export function ago(ms, at = now.value) {
  const s = Math.max(0, Math.round((at - ms) / 1000))
  if (s < 60) return s + ' s ago'
  if (s < 3600) return Math.floor(s / 60) + ' min ago'
  if (s < 48 * 3600) return Math.floor(s / 3600) + ' h ago'
  return Math.floor(s / 86400) + ' d ago'
}

// time shows a line's time in the chosen zone, with the day unless that is today.
export function time(text) {
  const at = new Date(text)
  if (zone.value === 'relative') return ago(at.getTime())
  const today = new Date()
  if (zone.value === 'utc') {
    const clock = at.toISOString()
    return clock.slice(0, 10) === today.toISOString().slice(0, 10) ? clock.slice(11, 23) : clock.slice(5, 19).replace('T', ' ')
  }
  const clock = two(at.getHours()) + ':' + two(at.getMinutes()) + ':' + two(at.getSeconds())
  if (at.toDateString() === today.toDateString()) return clock + '.' + String(at.getMilliseconds()).padStart(3, '0')
  return two(at.getMonth() + 1) + '-' + two(at.getDate()) + ' ' + clock
}

const counts = new Intl.NumberFormat('en')

export const count = n => counts.format(n)
export const lines = n => count(n) + (n === 1 ? ' line' : ' lines')
