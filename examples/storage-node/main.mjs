// A storage plugin of logger in JavaScript. It knows the .proto and go-plugin's handshake, and
// nothing of Go. It does not serve Follow, which is optional: the host polls Read instead.
import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';
import protobuf from 'protobufjs';
import contractText from '../../sdk/pluginpb/proto/logger/plugin/v1/plugin.proto';
import gopluginText from './goplugin.proto';
import healthText from './health.proto';
import { behave, log, serve, setLogLevel } from './process.mjs';
import { Storage } from './storage.mjs';

const { INVALID_ARGUMENT, UNAVAILABLE, INTERNAL } = grpc.status;

// load reads a .proto. Names stay as they are there, and numbers of 64 bits are text.
function load(text) {
  const root = protobuf.parse(text, { keepCase: true }).root.toJSON();
  return protoLoader.fromJSON(root, { keepCase: true, longs: String, enums: String, defaults: true });
}
const contract = load(contractText);

const SETTING = 'NUMBER_OF_LINES';
const description = {
  kind: 'KIND_STORAGE',
  name: 'node',
  version: '1.0.0',
  doc: 'keeps the newest lines of each app in the memory of a Node.js process',
  settings: [{ env: SETTING, type: 'SETTING_TYPE_INT', default: '1000', doc: 'entries kept of each app', min: 1 }],
};

let storage; // once configured, until shut down

function fail(code, message) {
  return Object.assign(new Error(message), { code, details: message });
}

function opened() {
  if (!storage) throw fail(UNAVAILABLE, 'the plugin is not configured, or shut down');
  return storage;
}

// unary makes a handler of a function. What it throws is an error of that call alone.
function unary(answer) {
  return (call, callback) => {
    let response;
    try {
      response = answer(call.request);
    } catch (err) {
      if (err.code === undefined) {
        log('error', 'a call failed', { method: call.getPath(), stack: err.stack });
        err = fail(INTERNAL, String(err.message));
      }
      callback(err);
      return;
    }
    callback(null, response);
  };
}

const plugin = {
  Describe: unary(() => description),
  Configure: unary(({ settings, log_level }) => {
    if (storage) throw fail(INVALID_ARGUMENT, 'already configured');
    const text = settings[SETTING];
    const lines = Number(text);
    if (!Number.isSafeInteger(lines) || lines < 1) {
      throw fail(INVALID_ARGUMENT, `${SETTING}=${JSON.stringify(text ?? '')}: want a whole number of at least 1`);
    }
    setLogLevel(log_level);
    storage = new Storage(lines);
    return { capabilities: ['CAPABILITY_APPS'] };
  }),
  Check: unary(() => {
    opened();
    return { ready: true };
  }),
  Shutdown: unary(() => {
    storage = undefined;
    return {};
  }),
};

const storageService = {
  Append: unary((batch) => {
    opened().append(batch);
    return {};
  }),
  Read: unary((options) => opened().read(options)),
  Delete: unary(({ app }) => {
    opened().delete(app);
    return {};
  }),
  Apps: unary(() => ({ apps: opened().apps() })),
};

behave();
serve((server) => {
  server.addService(contract['logger.plugin.v1.PluginService'], plugin);
  server.addService(contract['logger.plugin.v1.StorageService'], storageService);
  server.addService(load(healthText)['grpc.health.v1.Health'], { Check: unary(() => ({ status: 'SERVING' })) });
  server.addService(load(gopluginText)['plugin.GRPCController'], {
    Shutdown: (_, callback) => {
      callback(null, {});
      setImmediate(() => process.exit(0)); // once the answer is on its way
    },
  });
}).catch((err) => {
  log('error', err.message, { stack: err.stack });
  process.exit(1);
});
