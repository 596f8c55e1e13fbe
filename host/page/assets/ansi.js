// Colours that programs set with escape sequences (ECMA-48).

// sequence matches an escape sequence, or another control character that shows nothing.
const sequence = /\x1b\[([0-9;:]*)m|\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]|[\x00-\x08\x0b-\x1f\x7f]/g

// cube has the levels of red, green and blue in the palette of 256 colours.
const cube = [0, 95, 135, 175, 215, 255]

// nearest returns the one of the sixteen colours that is closest in hue. Unlike other colours,
// these sixteen are readable on light and on dark.
function nearest(r, g, b) {
  const most = Math.max(r, g, b)
  const least = Math.min(r, g, b)
  if (most - least < 40) return most < 64 ? 0 : most < 144 ? 8 : most < 208 ? 7 : 15
  const middle = (most + least) / 2
  return (r > middle ? 1 : 0) + (g > middle ? 2 : 0) + (b > middle ? 4 : 0) + (most > 208 ? 8 : 0)
}

function palette(n) {
  if (n < 16) return n
  if (n >= 232) return nearest(...Array(3).fill(8 + (n - 232) * 10))
  n -= 16
  return nearest(cube[Math.floor(n / 36)], cube[Math.floor(n / 6) % 6], cube[n % 6])
}

// extended reads the rest of a code 38 or 48. It returns the colour, and how many codes it took.
function extended(codes, i) {
  if (codes[i] === 5) return [palette(codes[i + 1] ?? 0), 2]
  if (codes[i] === 2) return [nearest(codes[i + 1] ?? 0, codes[i + 2] ?? 0, codes[i + 3] ?? 0), 4]
  return [undefined, 0]
}

function apply(state, codes) {
  for (let i = 0; i < codes.length; i++) {
    const c = codes[i]
    if (c === 0) for (const name in state) delete state[name]
    else if (c === 1) state.bold = true
    else if (c === 2) state.dim = true
    else if (c === 3) state.italic = true
    else if (c === 4) state.underline = true
    else if (c === 7) state.inverse = true
    else if (c === 9) state.strike = true
    else if (c === 22) delete state.bold, delete state.dim
    else if (c === 23) delete state.italic
    else if (c === 24) delete state.underline
    else if (c === 27) delete state.inverse
    else if (c === 29) delete state.strike
    else if (c >= 30 && c <= 37) state.fg = c - 30
    else if (c >= 90 && c <= 97) state.fg = c - 82
    else if (c === 39) delete state.fg
    else if (c >= 40 && c <= 47) state.bg = c - 40
    else if (c >= 100 && c <= 107) state.bg = c - 92
    else if (c === 49) delete state.bg
    else if (c === 38 || c === 48) {
      const [colour, took] = extended(codes, i + 1)
      if (colour !== undefined) state[c === 38 ? 'fg' : 'bg'] = colour
      i += took
    }
  }
}

// classes returns the classes in page.css for the state. A background colour is shown by inverting
// the text's colour, so that the text stays readable whatever its own colour.
function classes(state) {
  const names = []
  for (const name of ['bold', 'dim', 'italic', 'underline', 'strike']) if (state[name]) names.push('a-' + name)
  if (state.bg !== undefined) names.push('b' + state.bg)
  else if (state.inverse) names.push('b' + (state.fg ?? 7))
  else if (state.fg !== undefined) names.push('c' + state.fg)
  return names.join(' ')
}

// plain returns the text without escape sequences.
export function plain(text) {
  return text.replace(sequence, '')
}

// parts splits a text into [text, classes] by its escape sequences.
export function parts(text) {
  if (!/[\x00-\x08\x0b-\x1f\x7f]/.test(text)) return [[text, '']]
  const all = []
  const state = {}
  let from = 0
  for (const match of text.matchAll(sequence)) {
    if (match.index > from) all.push([text.slice(from, match.index), classes(state)])
    if (match[1] !== undefined) apply(state, match[1].split(/[;:]/).map(Number))
    from = match.index + match[0].length
  }
  if (from < text.length) all.push([text.slice(from), classes(state)])
  return all
}
