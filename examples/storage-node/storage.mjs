// The storage itself: the newest entries of each app, in memory. Numbers of 64 bits come from the
// wire as decimal text, which loses nothing; they are counted with as BigInt.
import { randomBytes } from 'node:crypto';

// MARKED_WRITERS is how many writers are remembered for each app. A writer is one run of a host.
const MARKED_WRITERS = 16;

// PAGE_BYTES is about how much one page holds: what is more is left to the next read.
const PAGE_BYTES = 1 << 20;

export class Storage {
  #lines;
  #logs = new Map();

  constructor(lines) {
    this.#lines = lines;
  }

  // append stores the batch. Nothing here waits, so that no call sees half of it.
  append({ writer, sequence, apps }) {
    const number = BigInt(sequence);
    for (const { app, entries } of apps) {
      if (entries.length === 0) continue; // nothing to store begins no log
      let log = this.#logs.get(app);
      if (!log) {
        log = { epoch: newEpoch(), last: 0n, bytes: 0, entries: [], marks: new Map() };
        this.#logs.set(app, log);
      }
      const highest = log.marks.get(writer);
      if (highest !== undefined && number <= highest) continue; // it has this batch
      log.marks.delete(writer); // so that the latest writer is the last
      log.marks.set(writer, number);
      if (log.marks.size > MARKED_WRITERS) log.marks.delete(log.marks.keys().next().value);
      for (const entry of entries) {
        log.entries.push(entry);
        log.bytes += sizeOf(entry);
      }
      log.last += BigInt(entries.length);
      const gone = log.entries.splice(0, Math.max(0, log.entries.length - this.#lines));
      for (const entry of gone) log.bytes -= sizeOf(entry);
    }
  }

  read({ app, limit, after }) {
    const log = this.#logs.get(app);
    if (!log) return { epoch: '0', first: '1', entries: [], more: false };
    const kept = log.entries.length;
    const oldest = log.last - BigInt(kept) + 1n; // the position of entries[0]
    const wanted = BigInt(limit) < 0n || BigInt(limit) > BigInt(kept) ? kept : Number(limit);
    let from = kept - wanted;
    if (after) {
      from = 0; // a cursor of another epoch comes before everything
      const position = BigInt(after.position);
      if (after.epoch === log.epoch && position >= oldest) {
        from = position > log.last ? kept : Number(position - oldest + 1n);
      }
    }
    if (wanted === 0) from = kept;
    let to = from;
    for (let size = 0; to < Math.min(kept, from + wanted) && size < PAGE_BYTES; to++) size += sizeOf(log.entries[to]);
    return {
      epoch: log.epoch,
      first: String(oldest + BigInt(from)),
      entries: log.entries.slice(from, to),
      more: to < Math.min(kept, from + wanted),
    };
  }

  delete(app) {
    this.#logs.delete(app);
  }

  apps() {
    return [...this.#logs].map(([app, log]) => ({
      app,
      entries: String(log.entries.length),
      bytes: String(log.bytes),
      oldest_nanos: shownNanos(log.entries[0]),
      newest_nanos: shownNanos(log.entries.at(-1)),
      last: String(log.last),
    }));
  }
}

// newEpoch is a number that no other log has, and not 0.
function newEpoch() {
  return String(randomBytes(8).readBigUInt64BE() | 1n);
}

// sizeOf is about what an entry takes. A character may take more bytes than one.
function sizeOf(e) {
  return 64 + e.process.length + e.release.length + e.pod.length + e.stream.length + e.host.length + e.message.length;
}

// shownNanos is when the entry was published, else the time that it states.
function shownNanos(e) {
  if (e.published_nanos !== '0') return e.published_nanos;
  return String(BigInt(e.time_seconds) * 1_000_000_000n + BigInt(e.time_nanos));
}
