# High risk: whoever changes anything proves possession of the key; state is seconds old, bindings an hour.
#
# Thresholds are data (`settings`). Each denial is a rule of its own; `reasons` names all that apply.
package lemma.high

import data.lemma.high.settings
import data.lemma.lib

default decision := {"allow": false, "reason": "policy_denied", "reasons": ["policy_denied"]}

decision := lib.decide(deny)

deny contains "policy_denied" if not admitted

deny contains "pop_required" if {
	lib.caller == "proof"
	not reading
	not lib.possession_proven
}

deny contains "taint_stale" if {
	lib.identified
	not lib.taint_seen
}

deny contains "taint_ahead" if {
	lib.identified
	not lib.taint_known
}

# A legacy token lives no longer than its proof would be good for.
deny contains "ttl_too_long" if {
	lib.identified
	not newly_bound
}

deny contains "body_truncated" if {
	lib.caller
	lib.body_wanted
	not lib.body_whole
}

deny contains "freshness_stale" if {
	lib.identified
	not fresh
}

deny contains "budget_exhausted" if {
	lib.caller
	not lib.within_budget
}

deny contains "legacy_disabled" if {
	lib.caller == "token"
	not legacy_reading
}

deny contains "context_missing" if {
	lib.caller
	lib.context_lacking
}

admitted if {
	input.profile == "high"
	lib.caller
}

reading if input.request.method in settings.reading_methods

legacy_reading if {
	reading
	input.route.id in settings.legacy_routes
}

fresh if lib.at_most(input.freshness.age_ms, settings.freshness_max_ms)

newly_bound if lib.at_most(lib.binding_age_ms, settings.binding_max_age_ms)
