// The tools above the lines: the filters, how lines are shown, and saving.
import {html, choices, columns, json} from './line.js'
import {wrap, zone, density, count} from './format.js'

const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal']

// filterNames lists the filters of /v1 for which the page has fields.
export const filterNames = ['level', 'include', 'exclude', 'process', 'pod', 'since', 'until']

// filtersOf reads the filters from the page's URL.
export function filtersOf(url) {
  const filters = {}
  for (const name of filterNames) {
    const value = url.searchParams.get(name)
    if (value) filters[name] = value
  }
  return filters
}

function Choice({label, of, values}) {
  return html`<label>${label}<select value=${of.value} onChange=${e => (of.value = e.target.value)}>${values.map(([value, text]) => html`<option value=${value}>${text ?? value}</option>`)}</select></label>`
}

// View shows the menu for how lines are shown.
function View({several}) {
  const turn = name => {
    const chosen = columns.value.split(' ').filter(Boolean)
    columns.value = (chosen.includes(name) ? chosen.filter(n => n !== name) : [...chosen, name]).join(' ')
  }
  return html`<details class="menu"><summary>View</summary><div class="panel">
    <${Choice} label="Times" of=${zone} values=${[['local'], ['utc', 'UTC'], ['relative']]} />
    <${Choice} label="Rows" of=${density} values=${[['compact'], ['comfortable']]} />
    <${Choice} label="JSON" of=${json} values=${[['compact'], ['expanded'], ['raw', 'as printed']]} />
    <label class="check"><input type="checkbox" name="wrap" checked=${wrap.value === 'on'} onChange=${e => (wrap.value = e.target.checked ? 'on' : 'off')} />Wrap long lines</label>
    <fieldset><legend>Columns</legend>${Object.entries(choices).filter(([name]) => name !== 'app' || several).map(([name, label]) => html`
      <label class="check"><input type="checkbox" name=${name} checked=${columns.value.split(' ').includes(name)} onChange=${() => turn(name)} />${label}</label>`)}</fieldset>
  </div></details>`
}

// Tools shows no filters for a session: its lines were chosen when it was made.
export function Tools({source, several, filters, filter, save}) {
  const field = (name, label, hint, list) => html`<label class=${'f-' + name}>${label}<input type="text" spellcheck="false" autocomplete="off" placeholder=${hint} list=${list} value=${filters[name] ?? ''} onChange=${e => filter({[name]: e.target.value.trim()})} /></label>`
  const on = Object.keys(filters).length
  return html`<details class="tools" open=${matchMedia('(min-width: 641px)').matches}>
    <summary>Filters and view${on > 0 && html` <span class="on">${count(on)} on</span>`}</summary>
    <div class="row">
      ${!source.session && html`<label>Level<select class="f-level" value=${filters.level ?? ''} onChange=${e => filter({level: e.target.value})}><option value="">all</option>${levels.map(l => html`<option value=${l}>${l}${l !== 'fatal' && ' +'}</option>`)}</select></label>
        ${field('include', 'Only', 'expression')}
        ${field('exclude', 'Not', 'expression')}
        ${field('process', 'Process', 'web,worker')}
        ${field('pod', 'Pod', 'name')}
        ${field('since', 'Since', '10m', 'times')}
        ${field('until', 'Until', '5m', 'times')}
        <datalist id="times"><option value="5m" /><option value="15m" /><option value="1h" /><option value="6h" /><option value="1d" /></datalist>
        ${on > 0 && html`<button onClick=${() => filter(Object.fromEntries(filterNames.map(name => [name, ''])))} title="Show all lines">Clear</button>`}`}
      <span class="grow"></span>
      <${View} several=${several} />
      <details class="menu"><summary>Save</summary><div class="panel">
        <button onClick=${() => save('text')}>Text</button>
        <button onClick=${() => save('ndjson')}>NDJSON</button>
        <p class="dim">${source.session ? 'The lines that this view has' : 'All that is kept and passes the filters'}</p>
      </div></details>
    </div>
  </details>`
}
