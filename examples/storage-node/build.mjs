// Makes dist/logger-storage-node, one file that needs only Node: a host that checks checksums
// runs a plugin from a private copy, beside which nothing else is.
import { chmodSync } from 'node:fs';
import { build } from 'esbuild';

const out = 'dist/logger-storage-node';
await build({
  entryPoints: ['main.mjs'],
  outfile: out,
  bundle: true,
  platform: 'node',
  target: 'node18',
  format: 'cjs',
  loader: { '.proto': 'text' },
  banner: { js: '#!/usr/bin/env node' },
  logLevel: 'warning',
});
chmodSync(out, 0o755);
