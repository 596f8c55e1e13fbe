// Where the lines of a view come from: one app, several, or a session.
import {get, root} from './api.js'

// Source requests them from /v1.
export class Source {
  constructor(apps, session = '') {
    this.apps = apps // names, or patterns with *
    this.session = session // the token
    this.several = session === '' && (apps.length !== 1 || apps[0].includes('*'))
  }

  // of parses the page's URL; null stands for the list of apps.
  static of(url) {
    const path = url.pathname.slice(root.pathname.length)
    const [, kind, name] = /^(apps|sessions)\/([^/]+)\/?$/.exec(path) ?? []
    try {
      if (kind === 'apps') return new Source([decodeURIComponent(name)])
      if (kind === 'sessions') return new Source([], decodeURIComponent(name))
    } catch {} // not a name
    const apps = url.searchParams.getAll('app').filter(Boolean)
    return apps.length > 0 ? new Source(apps) : null
  }

  // url returns the page's URL, without filters.
  get url() {
    if (this.session) return new URL('sessions/' + encodeURIComponent(this.session), root)
    if (!this.several) return new URL('apps/' + encodeURIComponent(this.apps[0]), root)
    const url = new URL('.', root)
    for (const app of this.apps) url.searchParams.append('app', app)
    return url
  }

  get title() {
    return this.session ? 'Session' : this.apps.join(', ')
  }

  // few leaves out the cursor of all apps in the lines of several: it is longer than most lines.
  get few() {
    return this.several || this.session ? {cursors: 'few'} : {}
  }

  // ask requests the tail or the logs of these apps.
  ask(what, parameters, abort) {
    if (this.session) return get('sessions/' + encodeURIComponent(this.session) + '/' + what, parameters, abort)
    if (!this.several) return get('apps/' + encodeURIComponent(this.apps[0]) + '/' + what, parameters, abort)
    return get(what, {app: this.apps, ...parameters}, abort)
  }
}
