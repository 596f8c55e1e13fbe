// The storage itself: the newest entries of each app, in memory. Numbers of 64 bits come from the
// wire as decimal text, which loses nothing; they are counted with as BigInt.
import { randomBytes } from 'node:crypto';

// MARKED_WRITERS is how many writers are remembered for each app. A writer is one run of a host.
const MARKED_WRITERS = 16;

// PAGE_BYTES is about how much one page holds: what is more is left to the next read.
const PAGE_BYTES = 1 << 20;

// PAGE_APPS is how many apps are listed at once, unless fewer are asked for.
const PAGE_APPS = 1000;

// An entry is kept as it came, with two numbers of its own: position, its place in the order of
// arrival, and published, which is that in the order of publishing.
export class Storage {
  #lines;
  #retention; // in milliseconds; 0: never
  #logs = new Map(); // those that were appended to last are at its end
  #evicted = 0n;
  #deleted = 0n;

  constructor(lines, retention = 0) {
    this.#lines = lines;
    this.#retention = retention;
  }

  // append stores the batch. Nothing here waits, so that no call sees half of it.
  append({ writer, sequence, apps }) {
    const number = BigInt(sequence);
    for (const { app, entries } of apps) {
      if (entries.length === 0) continue; // nothing to store begins no log
      let log = this.#logs.get(app);
      if (!log) log = { epoch: newEpoch(), last: 0n, bytes: 0, arrived: [], published: [], marks: new Map() };
      const highest = log.marks.get(writer);
      if (highest !== undefined && number <= highest) continue; // it has this batch
      log.marks.delete(writer); // so that the latest writer is the last
      log.marks.set(writer, number);
      if (log.marks.size > MARKED_WRITERS) log.marks.delete(log.marks.keys().next().value);
      for (const entry of entries) {
        const kept = { entry, position: ++log.last, published: BigInt(entry.published_nanos) };
        log.arrived.push(kept);
        log.published.splice(placeOf(log.published, kept), 0, kept);
        log.bytes += sizeOf(entry);
      }
      this.#trim(log);
      log.appended = Date.now();
      this.#logs.delete(app);
      this.#logs.set(app, log);
    }
    this.forgetOld();
  }

  // #trim keeps the entries that were published last, whenever they arrived.
  #trim(log) {
    const gone = new Set(log.published.splice(0, Math.max(0, log.published.length - this.#lines)));
    if (gone.size === 0) return;
    log.arrived = log.arrived.filter((kept) => !gone.has(kept));
    for (const { entry } of gone) log.bytes -= sizeOf(entry);
    this.#evicted += BigInt(gone.size);
  }

  // forgetOld forgets the apps that got no line for long.
  forgetOld() {
    for (const [app, log] of this.#logs) {
      if (!this.#retention || log.appended > Date.now() - this.#retention) return;
      this.#evicted += BigInt(log.arrived.length);
      this.#logs.delete(app);
    }
  }

  // read answers the newest entries, what is left of a history, or what arrived after a position.
  read({ app, limit, after, before }) {
    const log = this.#logs.get(app);
    if (!log) return {};
    const kept = log.published.length;
    const wanted = BigInt(limit) < 0n || BigInt(limit) > BigInt(kept) ? kept : Number(limit);
    if (!after) {
      const ends = before && before.epoch === log.epoch ? cursorOf(before) : undefined;
      const all = ends ? log.published.filter((k) => k.position <= ends.upTo && (!ends.inHistory || order(k, ends) < 0)) : log.published;
      return this.#page(log, all.slice(all.length - Math.min(all.length, wanted)), true);
    }
    // A cursor of another epoch comes before everything.
    const from = after.epoch === log.epoch ? cursorOf(after) : { upTo: 0n };
    if (from.inHistory) {
      const rest = log.published.filter((k) => k.position <= from.upTo && order(k, from) > 0);
      if (rest.length > 0) return this.#page(log, rest.slice(0, wanted), false);
    }
    const first = log.arrived.findIndex((k) => k.position > from.upTo);
    return this.#page(log, first < 0 ? [] : log.arrived.slice(first, first + wanted), false);
  }

  // #page makes the page of these, or of as many of them as one page holds: the last of the
  // newest, else the first. The host says where reading goes on, and what is gone.
  #page(log, entries, newest) {
    let size = 0;
    let n = 0;
    while (n < entries.length && size < PAGE_BYTES) size += sizeOf(entries[newest ? entries.length - ++n : n++].entry);
    const more = n < entries.length;
    if (more) entries = newest ? entries.slice(entries.length - n) : entries.slice(0, n);
    const first = entries.length > 0 ? entries[0].position : 0n;
    let next = first;
    return {
      epoch: log.epoch,
      last: String(log.last),
      first: String(first),
      more,
      entries: entries.map(({ entry, position }) => {
        const jump = String(position - next); // 0 where positions rise by one
        next = position + 1n;
        return { ...entry, jump };
      }),
    };
  }

  delete(app) {
    this.#deleted += BigInt(this.#logs.get(app)?.arrived.length ?? 0);
    this.#logs.delete(app);
  }

  // apps lists the apps that come after a name, or the one that is asked for.
  apps({ app, after, limit }) {
    if (app) return this.#logs.has(app) ? [this.#info(app)] : [];
    const names = [...this.#logs.keys()].filter((name) => byName(name, after) > 0).sort(byName);
    return names.slice(0, Number(limit) || PAGE_APPS).map((name) => this.#info(name));
  }

  #info(app) {
    const log = this.#logs.get(app);
    return {
      app,
      entries: String(log.arrived.length),
      bytes: String(log.bytes),
      oldest_nanos: String(log.published[0].published),
      newest_nanos: String(log.published.at(-1).published),
      last: String(log.last),
    };
  }

  totals() {
    let [entries, bytes] = [0n, 0n];
    for (const log of this.#logs.values()) {
      entries += BigInt(log.arrived.length);
      bytes += BigInt(log.bytes);
    }
    const stored = entries + this.#evicted + this.#deleted;
    return {
      apps: String(this.#logs.size),
      entries: String(entries),
      bytes: String(bytes),
      stored: String(stored),
      evicted: String(this.#evicted),
      deleted: String(this.#deleted),
    };
  }
}

// cursorOf is a cursor with its numbers: the position up to which its reader has seen, and a place
// in the order of publishing if it stands inside a history.
function cursorOf({ position, published_nanos, entry }) {
  return {
    upTo: BigInt(position),
    published: BigInt(published_nanos),
    position: BigInt(entry),
    inHistory: published_nanos !== '0' || entry !== '0',
  };
}

// order compares two places in the order of publishing.
function order(a, b) {
  const [x, y] = a.published === b.published ? [a.position, b.position] : [a.published, b.published];
  return x < y ? -1 : x > y ? 1 : 0;
}

// placeOf is where in the list, which is in the order of publishing, the entry belongs.
function placeOf(list, kept) {
  let at = list.length;
  while (at > 0 && order(list[at - 1], kept) > 0) at--; // nearly always at the end
  return at;
}

// byName compares names as bytes, as the host does.
function byName(a, b) {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

// newEpoch is a number that no other log has, and not 0.
function newEpoch() {
  return String(randomBytes(8).readBigUInt64BE() | 1n);
}

// sizeOf is about what an entry takes. A character may take more bytes than one.
function sizeOf(e) {
  return 64 + e.process.length + e.release.length + e.pod.length + e.container.length + e.stream.length + e.host.length + e.message.length;
}
