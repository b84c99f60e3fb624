# What Lemma's proof stage does, in Rego: three links signed with Ed25519, each by the key that the one before it names,
# never more than its parent allows, and a proof of possession over the request and its body. The nonce is read and not
# remembered: a policy has no memory.
package bench.proofs

import data.trusted

default allow := false

headers := input.attributes.request.http.headers

tokens := split(headers["x-chain"], "~")

links := [payload |
	some token in tokens
	[_, payload, _] := io.jwt.decode(token)
]

now := time.now_ns() / 1000000000

allow if {
	count(tokens) == 3
	links[0].type == "root"
	links[1].type == "delegation"
	links[2].type == "runtime"
	signed
	attenuated
	every link in links {
		link.not_before <= now
		now < link.expires_at
	}
	possessed
	reaches
	bound_recently
}

jwk(x) := json.marshal({"kty": "OKP", "crv": "Ed25519", "x": x})

signed if {
	io.jwt.verify_eddsa(tokens[0], jwk(trusted[links[0].issuer]))
	io.jwt.verify_eddsa(tokens[1], jwk(links[0].key))
	io.jwt.verify_eddsa(tokens[2], jwk(links[1].key))
	links[1].parent == crypto.sha256(tokens[0])
	links[2].parent == crypto.sha256(tokens[1])
}

attenuated if {
	every i in [1, 2] {
		links[i].subject == links[i - 1].subject
		links[i].expires_at <= links[i - 1].expires_at
		every audience in links[i].audience {
			audience in links[i - 1].audience
		}
	}
	every scope in links[2].scope {
		scope in links[1].scope
	}
}

possessed if {
	io.jwt.verify_eddsa(headers["x-pop"], jwk(links[2].key))
	[_, pop, _] := io.jwt.decode(headers["x-pop"])
	http := input.attributes.request.http
	pop.htm == http.method
	pop.htu == concat("", [http.scheme, "://", http.host, http.path])
	pop.ath == crypto.sha256(headers["x-chain"])
	pop.body == crypto.sha256(http.body)
	abs(now - pop.iat) <= 60
	count(pop.jti) >= 22
}

reaches if {
	"https://api.example.com" in links[2].audience
	input.attributes.request.http.host == "api.example.com"
	input.attributes.request.http.method == "POST"
	["v1", "documents", _, "comments"] = input.parsed_path
	"documents.write" in links[2].scope
}

bound_recently if now - links[2].issued_at <= 3600
