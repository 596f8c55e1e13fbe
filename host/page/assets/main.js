// The page: the list of apps at /, one app's log at /apps/APP, several at /?app=APP&app=PATTERN, and
// a session at /sessions/TOKEN.
import {render} from './vendor/preact.mjs'
import {useRef, useEffect} from './vendor/hooks.mjs'
import {signal} from './vendor/signals.mjs'
import {html} from './line.js'
import {root, asked, useToken} from './api.js'
import {Source} from './source.js'
import {Apps} from './apps.js'
import {App} from './app.js'

const source = signal(Source.of(new URL(location)))
addEventListener('popstate', () => (source.value = Source.of(new URL(location))))

// go shows a source, or the list of apps, without loading the page again, which would lose the
// token.
function go(event, to) {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button > 0) return // opens a new tab
  event.preventDefault()
  history.pushState(null, '', to ? to.url : new URL('.', root))
  source.value = to
}

// Token asks for the token that /v1 wants.
function Token() {
  const box = useRef()
  useEffect(() => box.current.focus(), [])
  const give = event => {
    event.preventDefault()
    if (box.current.value.trim()) useToken(box.current.value)
  }
  return html`<div class="veil"><form class="token" role="dialog" aria-modal="true" aria-labelledby="token-title" onSubmit=${give}>
    <h2 id="token-title">This logger asks for a token</h2>
    <label>Token<input ref=${box} type="password" autocomplete="off" spellcheck="false" /></label>
    ${asked.value === 'again' && html`<p class="bad" role="alert">That token is not good.</p>`}
    <p>It is kept in this page’s memory alone, until the page is closed.</p>
    <button type="submit">Use it</button>
  </form></div>`
}

function Page() {
  const s = source.value
  return html`${s ? html`<${App} key=${s.url.href} source=${s} go=${go} />` : html`<${Apps} go=${go} />`}${asked.value && html`<${Token} />`}`
}

document.querySelector('link[rel=icon]').href = new URL('assets/icon.svg', root) // absolute, since the page's address may change
render(html`<${Page} />`, document.getElementById('page'))
