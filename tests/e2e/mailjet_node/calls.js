'use strict';
// Makes the calls that stand on standard input, a line of JSON each, with Mailjet's official client, and tells on
// standard output what it returns or throws.

const readline = require('node:readline');
const Mailjet = require('node-mailjet');

const [host, token] = process.argv.slice(2);
Mailjet.Request.protocol = 'http://';
const client = Mailjet.smsConnect(token, { config: { host, version: 'v4' } });

async function call({ method, resource, action, id, body, query }) {
  let request = client[method](resource);
  if (action !== undefined) request = request.action(action);
  if (id !== undefined) request = request.id(id);
  const result = await request.request(body ?? {}, query ?? {});
  return { status: result.response.status, body: result.body };
}

function thrown(error) {
  const { statusCode, ErrorIdentifier, ErrorCode, ErrorMessage, ErrorRelatedTo } = error;
  return { status: statusCode, error: { ErrorIdentifier, ErrorCode, ErrorMessage, ErrorRelatedTo } };
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const told = await call(JSON.parse(line)).catch(thrown);
    process.stdout.write(`${JSON.stringify(told)}\n`);
  }
}

main();
