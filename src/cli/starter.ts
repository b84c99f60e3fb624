/** What `lemma init` writes: it works as it stands, and shows what else there is. */
export const STARTER = `# Lemma's configuration. Every key has a default: what you take out falls back to it.
# Check it with \`lemma config check\`; a running service takes a change over by itself, whole or not at all.
# For completion in an editor: lemma config schema > lemma.schema.json, and
# yaml-language-server: $schema=./lemma.schema.json

listen:
  grpc: 127.0.0.1:9191      # Envoy and Istio ext_authz; a list may add unix:///run/lemma/pdp.sock
  decision: 127.0.0.1:8181  # REST mirror and authorize: what enforcement points call
  control: 127.0.0.1:8080   # control plane and metrics: for operators, never for enforcement points

data: ./.lemma              # database and keys, readable by you only

org: local                  # whose agents these are; routes default to it
env: default

# Which request stands for what. The most specific route wins; no route means no way in.
routes:
  - id: documents.read
    host: api.example.com             # exact, *.example.com, or *
    path: /v1/documents/{id}          # {name} is one segment; ** as the last is any rest
    methods: [GET, HEAD]
    api: documents
    action: documents.read
    scope: [documents.read]           # the proof must cover all of them
    audience: https://api.example.com # the proof must be for it
    risk: low                         # low | high | critical: how strict the policy is

  # - id: documents.write
  #   host: api.example.com
  #   path: /v1/documents/{id}
  #   methods: [PUT]
  #   api: documents
  #   action: documents.write
  #   scope: [documents.write]
  #   audience: https://api.example.com
  #   risk: high                      # each request signed by the runtime's key, proof at most 1 h old
  #   body: digest                    # the signature covers the body
  #   headers: [x-tenant]             # what the policy sees of its headers; never credentials
  #   taint_on_response: false        # true: its answers may carry instructions for the agent

  # - id: health
  #   host: "*"
  #   path: /healthz
  #   methods: [GET]
  #   api: meta
  #   action: meta.health
  #   scope: []
  #   audience: https://api.example.com
  #   risk: low
  #   public: true                    # no credential is asked for; still decided, still logged

# The local gateway between an agent and the APIs that it calls:
# firewall:
#   listen: 127.0.0.1:8787
#   apis:
#     - id: documents                 # http://127.0.0.1:8787/firewall/documents/v1/documents/1
#       base_url: https://api.example.com
#       methods: [GET]
#       path_prefixes: [/v1/documents]
#       scope: [documents.read]
#       risk: low
#       action: documents.read
`;
