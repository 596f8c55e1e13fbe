// Follows a tail by one of three clients of server-sent events: node clients.mjs CLIENT URL. It
// prints the data of each event, and goes on until it is ended.
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)
const [client, url] = process.argv.slice(2)
const say = data => process.stdout.write(JSON.stringify(data) + '\n')

switch (client) {
  case 'eventsource': {
    const EventSource = require('eventsource')
    const tail = new EventSource(url)
    tail.reconnectInterval = 10
    tail.onmessage = e => say(e.data)
    break
  }
  case 'fetch-event-source': {
    // What it takes for granted of a browser.
    globalThis.window = globalThis
    globalThis.document = { hidden: false, addEventListener () {}, removeEventListener () {} }
    const { fetchEventSource } = require('@microsoft/fetch-event-source')
    await fetchEventSource(url, {
      openWhenHidden: true,
      onmessage: e => { if (e.data && !e.event) say(e.data) }, // it tells of events without data, too
      onclose: () => { throw new Error('again') }, // Node takes a cut for an end; a browser does not
      onerror: () => 10
    })
    break
  }
  case 'event-source-polyfill': {
    const { EventSourcePolyfill } = require('event-source-polyfill')
    console.error = () => {} // it complains of each cut
    const tail = new EventSourcePolyfill(url)
    tail.onmessage = e => say(e.data)
    break
  }
  default:
    throw new Error('no such client: ' + client)
}
