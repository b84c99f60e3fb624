# Low risk: bearer credentials will do, reading tolerates taint, state may be a lease old.
#
# Thresholds are data (`settings`). Each denial is a rule of its own; `reasons` names all that apply.
package lemma.low

import data.lemma.low.lib
import data.lemma.low.settings

default decision := {"allow": false, "reason": "policy_denied", "reasons": ["policy_denied"]}

decision := lib.decide(deny)

deny contains "policy_denied" if not admitted

deny contains "taint_stale" if {
	lib.identified
	not reading
	not lib.taint_seen
}

deny contains "taint_ahead" if {
	lib.identified
	not lib.taint_known
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
	not legacy_route
}

deny contains "context_missing" if {
	lib.caller
	lib.context_lacking
}

admitted if {
	input.profile == "low"
	lib.caller
}

reading if input.request.method in settings.reading_methods

legacy_route if input.route.id in settings.legacy_routes

fresh if lib.at_most(input.freshness.age_ms, settings.freshness_max_ms)
