// A storage plugin of logger in JavaScript. It knows the .proto and go-plugin's handshake, and
// nothing of Go. It does not serve Follow, which is optional: the host polls Read instead.
import grpc from '@grpc/grpc-js';
import contractText from '../../sdk/pluginpb/proto/logger/plugin/v1/plugin.proto';
import { fail, load, serve, setLogLevel, unary } from './process.mjs';
import { Storage } from './storage.mjs';

const { INVALID_ARGUMENT, UNAVAILABLE, UNIMPLEMENTED } = grpc.status;

const contract = load(contractText);

const SETTING = 'NUMBER_OF_LINES';
const RETENTION = 'LOGGER_APP_RETENTION';
const description = {
  kind: 'KIND_STORAGE',
  name: 'node',
  version: '1.0.0',
  doc: 'keeps the newest lines of each app in the memory of a Node.js process',
  settings: [
    { env: SETTING, type: 'SETTING_TYPE_INT', default: '1000', doc: 'entries kept of each app', min: 1 },
    { env: RETENTION, type: 'SETTING_TYPE_DURATION', default: '720h', doc: 'an app that got no line for so long is forgotten; 0: never' },
  ],
};

let storage; // once configured, until shut down

function opened() {
  if (!storage) throw fail(UNAVAILABLE, 'the plugin is not configured, or shut down');
  return storage;
}

const configured = { capabilities: ['CAPABILITY_APPS'] };

// milliseconds reads a duration, which the host has checked: "720h", "1h30m", "0".
function milliseconds(text) {
  const units = { h: 3_600_000, m: 60_000, s: 1000, ms: 1, us: 1e-3, 'µs': 1e-3, ns: 1e-6 };
  let sum = 0;
  for (const [, number, unit] of (text ?? '').matchAll(/([\d.]+)(h|ms|m|s|us|µs|ns)/g)) sum += Number(number) * units[unit];
  return sum;
}

const plugin = {
  Describe: unary(() => description),
  Configure: unary(({ settings, log_level }) => {
    setLogLevel(log_level);
    if (storage) return configured; // called again, it changes the log level alone
    const text = settings[SETTING];
    const lines = Number(text);
    if (!Number.isSafeInteger(lines) || lines < 1) {
      throw fail(INVALID_ARGUMENT, `${SETTING}=${JSON.stringify(text ?? '')}: want a whole number of at least 1`);
    }
    storage = new Storage(lines, milliseconds(settings[RETENTION]));
    return configured;
  }),
  Check: unary(() => {
    opened().forgetOld();
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
  Read: unary((options) => {
    // The host then reads everything, and applies the filter itself.
    if (options.filter) throw fail(UNIMPLEMENTED, 'this storage does not filter');
    return opened().read(options);
  }),
  Delete: unary(({ app }) => {
    opened().delete(app);
    return {};
  }),
  Apps: unary((options) => ({ apps: opened().apps(options) })),
  Totals: unary(() => opened().totals()),
};

serve((server) => {
  server.addService(contract['logger.plugin.v1.PluginService'], plugin);
  server.addService(contract['logger.plugin.v1.StorageService'], storageService);
});
