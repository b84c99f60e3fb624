package lemma.low.lib

# Which denial is named as the reason, when several apply. Codes that are not listed come after, sorted.
precedence := [
	"pop_required",
	"run_required",
	"taint_stale",
	"taint_ahead",
	"ttl_too_long",
	"body_truncated",
	"freshness_stale",
	"budget_exhausted",
	"legacy_disabled",
	"context_missing",
	"policy_denied",
]

# The decision that a set of denial codes comes to. Without a caller nothing is allowed, whatever the set says.
decide(denials) := {"allow": true, "reason": "allowed", "reasons": []} if {
	caller
	count(denials) == 0
}

decide(denials) := {"allow": false, "reason": reasons[0], "reasons": reasons} if {
	reasons := in_order(denials)
	count(reasons) > 0
}

in_order(denials) := array.concat(
	[code | some code in precedence; code in denials],
	sort({code | some code in denials; not code in precedence}),
)
