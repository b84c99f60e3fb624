package lemma.fixtures_test

# Inputs that every profile allows; each test changes one thing by `object.union`.
base(profile) := {
	"v": 1,
	"now": 1790000000123,
	"profile": profile,
	"request": {
		"method": "GET",
		"scheme": "https",
		"host": "api.example.com",
		"path": "/v1/documents/7",
		"segments": ["v1", "documents", "7"],
		"query": {},
		"headers": {},
		"params": {"id": "7"},
		"protocol": "HTTP/1.1",
		"source": {"address": "127.0.0.1", "principal": ""},
		"body": {"state": "none"},
	},
	"route": {
		"id": "documents.read",
		"api": "documents",
		"action": "documents.read",
		"scope": ["documents.read"],
		"audience": "https://api.example.com",
		"risk": profile,
		"body": "none",
		"public": false,
		"taint_on_response": false,
		"revision": "r1",
	},
	"subject": {"id": "did:lemma:ppid_00", "org": "acme", "env": "prod", "via": "proof"},
	"freshness": {"age_ms": 0, "source": "local", "confirmed": true, "epoch": 1, "seq": 9},
	"budget": null,
	"legacy": {"token": false, "age_ms": 0},
}

runtime := {
	"id": "bot-1",
	"agent_id": "bot",
	"workspace_id": "prod",
	"status": "active",
	"profile": "low",
	"registered_at": 1780000000000,
	"taint_epoch": 3,
}

proof := {
	"links": [
		{"type": "root", "issued_at": 1780000000},
		{"type": "runtime", "issued_at": 1789999990},
		{"type": "run", "issued_at": 1789999999},
	],
	"scope": ["documents.read"],
	"audience": ["https://api.example.com"],
	"expires_at": 1790000600,
	"intent": "read",
	"run_id": "run-1",
	"taint_epoch": 3,
	"weakest_link_age_ms": 10000000000,
	"pop": {"present": true, "age_ms": 5, "body_covered": true},
}

proven(profile) := object.union(base(profile), {"runtime": runtime, "proof": proof})

with_token(profile) := object.union(base(profile), {
	"runtime": object.union(runtime, {"taint_epoch": 0}),
	"proof": object.union(proof, {"taint_epoch": 0, "pop": {"present": false, "age_ms": 0, "body_covered": false}}),
	"subject": {"via": "token"},
	"legacy": {"token": true, "age_ms": 1000},
})

without_proof(profile, via) := object.union(base(profile), {
	"runtime": null,
	"proof": null,
	"subject": {"id": null, "via": via},
})

bearer := {"subject": {"via": "credential"}, "proof": {"pop": {"present": false, "age_ms": 0, "body_covered": false}}}

binding_of_age_s(age) := {"proof": {"links": [{"type": "runtime", "issued_at": 1790000000 - age}]}}

no_runtime_link := {"proof": {"links": [{"type": "root", "issued_at": 1789999999}]}}

allowed := {"allow": true, "reason": "allowed", "reasons": []}

denied(reasons) := {"allow": false, "reason": reasons[0], "reasons": reasons}
