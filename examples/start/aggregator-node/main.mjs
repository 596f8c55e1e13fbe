// An aggregator plugin of logger in JavaScript. Its transport is a folder: each file is a message, in
// the order of their names, and is removed once it is stored. Whoever publishes writes a file whose
// name begins with a dot, and renames it. Put your transport in the place of the folder.
import { accessSync, readFileSync, readdirSync, statSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import grpc from '@grpc/grpc-js';
import { fail, load, log, serve, setLogLevel, unary } from './process.mjs';
import contractText from './plugin.proto';

const contract = load(contractText);

const DIR = 'MYPLUGIN_DIR';
const description = {
  kind: 'KIND_AGGREGATOR',
  name: 'myplugin',
  version: '1.0.0',
  doc: 'takes each file of a folder as a message',
  settings: [{ env: DIR, type: 'SETTING_TYPE_STRING', required: true, doc: 'folder of the messages, one a file' }],
};

// PAUSE is how long to wait when there is nothing to take, or it could not be stored.
const PAUSE = 50;
// A batch, and so the memory that it takes, is bounded.
const BATCH_MESSAGES = 1000;
const BATCH_BYTES = 1 << 20;

let dir; // once configured, until shut down

function opened() {
  if (!dir) throw fail(grpc.status.UNAVAILABLE, 'the plugin is not configured, or shut down');
  return dir;
}

const plugin = {
  Describe: unary(() => description),
  Configure: unary(({ settings, log_level }) => {
    setLogLevel(log_level);
    dir ??= settings[DIR]; // called again, it changes the log level alone
    return { capabilities: [] };
  }),
  Check: unary(() => {
    try {
      accessSync(opened());
      return { ready: true };
    } catch (err) {
      return { ready: false, reason: err.message };
    }
  }),
  Shutdown: unary(() => {
    dir = undefined;
    return {};
  }),
};

// take reads a batch of messages; none if the folder is away.
function take(dir) {
  const messages = [];
  let size = 0;
  try {
    for (const id of readdirSync(dir).sort()) {
      if (id.startsWith('.')) continue;
      if (messages.length >= BATCH_MESSAGES || size >= BATCH_BYTES) break;
      const payload = readFileSync(join(dir, id));
      const { mtimeNs } = statSync(join(dir, id), { bigint: true });
      messages.push({ id, payload, published_nanos: String(mtimeNs) });
      size += payload.length;
    }
  } catch (err) {
    log('debug', err.message);
    return [];
  }
  return messages;
}

// remove removes the messages, which are stored. It says whether it could.
function remove(dir, messages) {
  try {
    for (const { id } of messages) unlinkSync(join(dir, id));
  } catch (err) {
    log('debug', err.message);
    return false;
  }
  return true;
}

// run delivers what is in the folder until the host says stop. What the host has by then it may
// still store, so run waits for that answer.
async function run(call) {
  const dir = opened();
  let stopped = false;
  let answered = () => {};
  call.on('data', ({ ack, stop }) => {
    if (ack) answered(ack);
    if (stop) stopped = true;
  });
  for (const end of ['end', 'error', 'cancelled']) {
    call.on(end, () => {
      stopped = true;
      answered(null); // the host is gone: what it has stored comes again
    });
  }
  for (let batch = 1; !stopped; ) {
    const messages = take(dir);
    let stored = false;
    if (messages.length > 0) {
      const ack = new Promise((resolve) => (answered = resolve));
      call.write({ batch: String(batch++), messages });
      stored = (await ack)?.code === 0;
    }
    if (!(stored && remove(dir, messages)) && !stopped) await sleep(PAUSE); // what is still there comes again
  }
  call.end();
}

const aggregatorService = {
  Run: (call) => {
    run(call).catch((err) => {
      log('error', 'Run ends', { stack: err.stack });
      call.emit('error', err.code ? err : fail(grpc.status.UNAVAILABLE, err.message));
    });
  },
};

serve((server) => {
  server.addService(contract['logger.plugin.v1.PluginService'], plugin);
  server.addService(contract['logger.plugin.v1.AggregatorService'], aggregatorService);
});
