// What a plugin's process owes its host: docs/plugin-host.md says what goes wrong otherwise.
import { createHash, randomBytes } from 'node:crypto';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';
import protobuf from 'protobufjs';
import { serverCertificate } from './certificate.mjs';
import gopluginText from './goplugin.proto';
import healthText from './health.proto';

const PROTOCOL = 1;

// log writes hclog's JSON form, of which the host keeps level and fields.
const levels = ['trace', 'debug', 'info', 'warn', 'error'];
let least = 'info';
export function setLogLevel(level) {
  if (levels.includes(level)) least = level;
}
export function log(level, message, fields = {}) {
  if (levels.indexOf(level) < levels.indexOf(least)) return;
  const line = { ...fields, '@level': level, '@message': String(message), '@timestamp': new Date().toISOString() };
  process.stderr.write(JSON.stringify(line) + '\n');
}

// load reads a .proto. Names stay as they are there, and numbers of 64 bits are text.
export function load(text) {
  const root = protobuf.parse(text, { keepCase: true }).root.toJSON();
  return protoLoader.fromJSON(root, { keepCase: true, longs: String, enums: String, defaults: true });
}
// fail makes an error of one call, with its gRPC code.
export function fail(code, message) {
  return Object.assign(new Error(message), { code, details: message });
}

// unary makes a handler of a function. What it throws is an error of that call alone.
export function unary(answer) {
  return (call, callback) => {
    let response;
    try {
      response = answer(call.request);
    } catch (err) {
      if (err.code === undefined) {
        log('error', 'a call failed', { method: call.getPath(), stack: err.stack });
        err = fail(grpc.status.INTERNAL, String(err.message));
      }
      callback(err);
      return;
    }
    callback(null, response);
  };
}

// behave sets up what must hold before anything else runs.
function behave() {
  // Ctrl-C and the end of a session are the host's to act on.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {});
  // Only the handshake belongs on stdout.
  console.log = console.info = console.debug = (...args) => log('info', args.join(' '));
  // The lifeline is a pipe that ends when the host does; nothing else would tell.
  const fd = Number.parseInt(process.env.LOGGER_PLUGIN_LIFELINE_FD ?? '', 10);
  if (fd > 2) {
    const lifeline = new Socket({ fd, readable: true, writable: false });
    for (const end of ['end', 'close', 'error']) lifeline.on(end, () => process.exit(0));
    lifeline.resume();
  }
}

// serve serves what register adds to the server, until the host ends the process.
export function serve(register) {
  behave();
  start(register).catch((err) => {
    log('error', err.message, { stack: err.stack });
    process.exit(1);
  });
}

// start starts the server and prints the handshake.
async function start(register) {
  const env = process.env;
  if (env.LOGGER_PLUGIN !== 'deis-logger-plugin') {
    process.stderr.write('This is a plugin of logger, which starts it by itself: put it into a folder of LOGGER_PLUGIN_PATH.\n');
    process.exit(1);
  }
  const versions = (env.PLUGIN_PROTOCOL_VERSIONS ?? String(PROTOCOL)).split(',').map(Number);
  if (!versions.includes(PROTOCOL)) {
    log('error', `the host speaks versions ${versions} of the protocol, this plugin ${PROTOCOL}`);
    // It is told in the handshake all the same: the host says what to do.
  }
  let credentials = grpc.ServerCredentials.createInsecure(); // run by hand, to be looked at
  let certificate = '';
  if (env.PLUGIN_CLIENT_CERT) {
    const own = await serverCertificate();
    credentials = grpc.ServerCredentials.createSsl(
      Buffer.from(env.PLUGIN_CLIENT_CERT),
      [{ private_key: Buffer.from(own.key), cert_chain: Buffer.from(own.certificate) }],
      true, // and no other client
    );
    certificate = own.der.toString('base64').replace(/=+$/, '');
    log('debug', 'certificate', { sha256: createHash('sha256').update(own.der).digest('hex') });
  }
  const server = new grpc.Server({
    // Batches and pages are larger than gRPC's default of 4 MiB.
    'grpc.max_receive_message_length': -1,
    'grpc.max_send_message_length': -1,
  });
  register(server);
  server.addService(load(healthText)['grpc.health.v1.Health'], { Check: unary(() => ({ status: 'SERVING' })) });
  server.addService(load(gopluginText)['plugin.GRPCController'], {
    Shutdown: (_, callback) => {
      callback(null, {});
      setImmediate(() => process.exit(0)); // once the answer is on its way
    },
  });
  const path = join(env.PLUGIN_UNIX_SOCKET_DIR || tmpdir(), `plugin${randomBytes(6).toString('hex')}`);
  await new Promise((resolve, reject) => {
    server.bindAsync(`unix:${path}`, credentials, (err) => (err ? reject(err) : resolve()));
  });
  process.stdout.write(`1|${PROTOCOL}|unix|${path}|grpc|${certificate}\n`);
}
