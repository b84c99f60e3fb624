/**
 * What a gateway of your own asks over gRPC: `envoy.service.auth.v3.Authorization/Check`, with the protos that the package
 * `lemma-authz` brings. Take this file as it is; it needs @grpc/grpc-js and @grpc/proto-loader.
 *
 *     node check.mjs 127.0.0.1:9191 GET https://api.example.com/v1/documents/1 "x-lemma-credential: $(cat my-runtime.credential)"
 */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { credentials, loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const PROTO = join(dirname(fileURLToPath(import.meta.resolve('lemma-authz/package.json'))), 'proto');
/** Milliseconds. The server denies `overloaded` before, where it can't keep it. */
const DEADLINE_MS = 2000;

/**
 * @param {string} address `host:port`, or `unix:///run/lemma/pdp.sock`
 * @param {import('@grpc/grpc-js').ChannelCredentials} [channel] default: none, for this machine; `credentials.createSsl()` elsewhere
 */
export function createChecker(address, channel = credentials.createInsecure()) {
  const definition = loadSync('envoy/service/auth/v3/external_auth.proto', {
    includeDirs: [PROTO],
    keepCase: true,
    longs: Number,
    defaults: true,
    oneofs: true,
  });
  const { Authorization } = loadPackageDefinition(definition).envoy.service.auth.v3;
  const client = new Authorization(address, channel);
  return {
    /**
     * @param {{ method: string, url: string, headers: readonly (readonly [string, string])[], body?: Uint8Array }} request
     *   as the client sent it: every header line, the body whole
     * @returns {Promise<Allowed | Refused>}
     * @typedef {{ allowed: true, set: [string, string][], remove: string[] }} Allowed headers for the upstream
     * @typedef {{ allowed: false, status: number, body: string, headers: [string, string][] }} Refused what to answer
     */
    check({ method, url, headers, body }) {
      const { protocol, host } = new URL(url);
      // Not url.pathname: what the client sent must be judged, not what a parser made of it.
      const path = url.slice(url.indexOf(host) + host.length) || '/';
      const http = {
        ...{ method, scheme: protocol.slice(0, -1), host, path, protocol: 'HTTP/1.1' },
        // Each line apart, as bytes: what came twice must be seen twice.
        header_map: {
          headers: headers.map(([key, value]) => ({ key, raw_value: Buffer.from(value, 'latin1') })),
        },
        ...(body === undefined ? {} : { raw_body: body, size: body.length }),
      };
      const deadline = Date.now() + DEADLINE_MS;
      return new Promise((resolve) => {
        client.check({ attributes: { request: { http } } }, { deadline }, (error, response) =>
          resolve(error === null ? answerOf(response) : UNAVAILABLE),
        );
      });
    },
    close: () => client.close(),
  };
}

/** No answer is a denial. */
const UNAVAILABLE = {
  allowed: false,
  status: 503,
  body: '{"success":false,"error":"state_not_ready"}',
  headers: [],
};

/** Allowed is code 0 with an `ok_response`, and nothing else is. */
function answerOf({ status, ok_response: ok, denied_response: denied }) {
  if ((status?.code ?? 0) === 0 && ok && !denied)
    return { allowed: true, set: linesOf(ok.headers), remove: ok.headers_to_remove };
  if (!denied) return UNAVAILABLE;
  return {
    ...{ allowed: false, status: denied.status?.code || 403 },
    ...{ body: denied.body, headers: linesOf(denied.headers) },
  };
}

function linesOf(options) {
  return (options ?? []).map(({ header }) => [header.key, header.value]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [address, method, url, ...lines] = process.argv.slice(2);
  const checker = createChecker(address);
  const headers = lines.map((line) => line.split(/: ?(.*)/s, 2));
  console.log(JSON.stringify(await checker.check({ method, url, headers })));
  checker.close();
}
