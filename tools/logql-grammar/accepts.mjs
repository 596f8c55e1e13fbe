// Reads queries, one JSON string a line, and prints for each whether Grafana's grammar of LogQL
// accepts it: "true" or "false".
import { createInterface } from 'node:readline';
import { parser } from '@grafana/lezer-logql';

for await (const line of createInterface({ input: process.stdin })) {
  let accepted = true;
  // The parser skips what it cannot read, and marks the place.
  parser.parse(JSON.parse(line)).iterate({ enter: (node) => { accepted &&= !node.type.isError; } });
  console.log(accepted);
}
