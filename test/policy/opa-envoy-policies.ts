/** Policies as users of opa-envoy-plugin write them, with who acts taken from what the host verified. */

export const ENTRYPOINT = 'envoy/authz/allow';

export const META = {
  adapter: 'opa-envoy',
  profile: 'low',
  serial: 100,
  confirm: false,
  record: 'behind',
  headers: ['content-type', 'x-tenant'],
  redact: [],
  envoy: true,
};

export function manifest(more: object = {}): string {
  return JSON.stringify({ roots: ['envoy/authz'], metadata: { lemma: { ...META, ...more } } });
}

/** A boolean, by the method, the path and whose scopes they are. */
export const PEOPLE = `package envoy.authz

import input.attributes.request.http

default allow := false

allow if action_allowed

action_allowed if {
	http.method == "GET"
	"documents.read" in input.proof.scope
	glob.match("/v1/documents/*", ["/"], http.path)
}

action_allowed if {
	http.method == "PUT"
	"documents.write" in input.proof.scope
	lower(input.parsed_body.firstname) != input.subject.id
}
`;

/** An object with all that may reach the answer. */
export const OBJECT = `package envoy.authz

import input.attributes.request.http as http_request

default allow := {
	"allowed": false,
	"http_status": 401,
	"headers": {"x-reason": ["closed", "ask"], "www-authenticate": "Lemma"},
	"body": "closed",
	"response_headers_to_add": {"x-never": "seen"},
	"dynamic_metadata": {"by": "authz"},
}

allow := response if {
	open
	response := {
		"allowed": true,
		"headers": [{"x-ext-auth-allow": "yes"}, {"x-ext-auth-allow": "indeed"}],
		"request_headers_to_remove": ["x-one", "X-Other"],
		"response_headers_to_add": {"x-foo": "bar"},
		"dynamic_metadata": {"foo": ["bar", 1]},
		"body": "never seen",
		"http_status": 200,
	}
}

open if {
	input.parsed_path == ["v1", "documents", "a b"]
	input.parsed_query.lang == ["en"]
	input.parsed_query.id == ["1", "2"]
	http_request.headers["x-tenant"] == "acme"
	http_request.headers[":method"] == http_request.method
	input.attributes.source.address.socketAddress.address == "127.0.0.9"
	input.attributes.contextExtensions.where == "edge"
	input.version == {"ext_authz": "v3", "encoding": "protojson"}
	not input.truncated_body
}
`;
