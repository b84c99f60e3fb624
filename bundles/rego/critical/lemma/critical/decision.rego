# Critical risk: possession and a run proof always, state confirmed after the request came, no legacy token.
#
# Thresholds are data (`settings`). Each denial is a rule of its own; `reasons` names all that apply.
package lemma.critical

import data.lemma.critical.settings
import data.lemma.critical.lib

default decision := {"allow": false, "reason": "policy_denied", "reasons": ["policy_denied"]}

decision := lib.decide(deny)

deny contains "policy_denied" if not admitted

deny contains "pop_required" if {
	lib.caller == "proof"
	not lib.possession_proven
}

deny contains "run_required" if {
	lib.caller == "proof"
	not lib.run_proven
}

deny contains "taint_stale" if {
	lib.identified
	not lib.taint_seen
}

deny contains "taint_ahead" if {
	lib.identified
	not lib.taint_known
}

deny contains "ttl_too_long" if {
	lib.caller == "proof"
	not newly_bound
}

deny contains "body_truncated" if {
	lib.caller
	lib.body_wanted
	not lib.body_whole
}

deny contains "freshness_stale" if {
	lib.identified
	not confirmed
}

deny contains "budget_exhausted" if {
	lib.caller
	not lib.within_budget
}

deny contains "legacy_disabled" if lib.caller == "token"

deny contains "context_missing" if {
	lib.caller
	lib.context_lacking
}

admitted if {
	input.profile == "critical"
	lib.caller
}

# Asked for after the request came, or the store is in the same process.
confirmed if input.freshness.confirmed == true

confirmed if input.freshness.source == "local"

newly_bound if lib.at_most(lib.binding_age_ms, settings.binding_max_age_ms)
